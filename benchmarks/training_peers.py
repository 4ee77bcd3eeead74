"""The peers' training steps as contenders of the training benchmark; runs in their environment.

Each is the library's own trainer where it has one that takes a batch, else its public methods in the
order of its training loop. Aux losses are off, the learning rate is constant and the same for all.
"""

from typing import Any

import torch
from torch import Tensor


class SAELens:
    """`SAETrainer.step` of SAELens, dense or with its sparse activations."""

    def __init__(
        self, case: dict[str, Any], is_sparse: bool, dictionary: Tensor, b_dec: Tensor
    ) -> None:
        from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
        from sae_lens.config import SAETrainerConfig
        from sae_lens.saes.abstopk_sae import AbsTopKTrainingSAE, AbsTopKTrainingSAEConfig
        from sae_lens.training.sae_trainer import SAETrainer

        signed = case["sparsifier"] == "abstopk"
        kinds = (
            (AbsTopKTrainingSAEConfig, AbsTopKTrainingSAE)
            if signed
            else (TopKTrainingSAEConfig, TopKTrainingSAE)
        )
        d_sae, d_in = dictionary.shape
        self.sae = kinds[1](
            kinds[0](
                d_in=d_in,
                d_sae=d_sae,
                k=case["k"],
                use_sparse_activations=is_sparse,
                # Sparse activations and its default rescaling fail together in the backward pass.
                rescale_acts_by_decoder_norm=not is_sparse,
                aux_loss_coefficient=0.0,
                normalize_activations="none",
                apply_b_dec_to_input=True,
                device=str(dictionary.device),
            )
        )
        with torch.no_grad():
            self.sae.W_dec.copy_(dictionary)
            self.sae.W_enc.copy_(dictionary.T)
            self.sae.b_enc.zero_()
            self.sae.b_dec.copy_(b_dec)
        settings = SAETrainerConfig(
            total_training_samples=case["steps"] * case["rows"],
            train_batch_size_samples=case["rows"],
            lr=case["lr"],
            lr_end=case["lr"],
            device=str(dictionary.device),
        )
        self.trainer = SAETrainer(settings, self.sae, iter(()))

    def step(self, x: Tensor) -> None:
        self.trainer.step(x)
        self.trainer.n_training_steps += 1

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.sae.decode(self.sae.encode(x))


class DictionaryLearning:
    """`TopKTrainer.update` of dictionary_learning; it sets b_dec from its first batch itself."""

    def __init__(self, case: dict[str, Any], dictionary: Tensor, b_dec: Tensor) -> None:
        from dictionary_learning.trainers.top_k import TopKTrainer

        d_sae, d_in = dictionary.shape
        self.trainer = TopKTrainer(
            steps=case["steps"] + 10,
            activation_dim=d_in,
            dict_size=d_sae,
            k=case["k"],
            layer=0,
            lm_name="",
            lr=case["lr"],
            auxk_alpha=0,
            warmup_steps=0,
            device=str(dictionary.device),
        )
        ae = self.trainer.ae
        with torch.no_grad():
            ae.decoder.weight.copy_(dictionary.T)
            ae.encoder.weight.copy_(dictionary)
            ae.b_dec.copy_(b_dec)
        self.steps = 0

    def step(self, x: Tensor) -> None:
        self.trainer.update(self.steps, x)
        self.steps += 1

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.trainer.ae(x)


class Sparsify:
    """The local step of sparsify's training loop (loss FVU, Adam), which has no function of its own."""

    def __init__(self, case: dict[str, Any], dictionary: Tensor, b_dec: Tensor) -> None:
        from sparsify import SparseCoder
        from sparsify.config import SparseCoderConfig

        d_sae, d_in = dictionary.shape
        config = SparseCoderConfig(num_latents=d_sae, k=case["k"])
        self.sae = SparseCoder(d_in, config, device=dictionary.device)
        with torch.no_grad():
            self.sae.encoder.weight.copy_(dictionary)
            self.sae.W_dec.copy_(dictionary)
            self.sae.b_dec.copy_(b_dec)
        self.optimiser = torch.optim.Adam([{"params": self.sae.parameters(), "lr": case["lr"]}])
        self.silent_for = torch.zeros(d_sae, dtype=torch.long, device=dictionary.device)

    def step(self, x: Tensor) -> None:
        self.sae.set_decoder_norm_to_unit_norm()
        variance = (x - x.mean(0)).pow(2).sum()
        out = self.sae(x, y=x, dead_mask=None, total_variance=variance)
        fired = torch.zeros_like(self.silent_for, dtype=torch.bool)
        fired[out.latent_indices.flatten()] = True
        float(out.fvu.detach())
        out.fvu.backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.silent_for += len(x)
        self.silent_for[fired] = 0

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.sae(x).sae_out


def make_contender(name: str, case: dict[str, Any], dictionary: Tensor, b_dec: Tensor):
    """`saelens`, `saelens_sparse`, `dictionary_learning` or `sparsify`."""
    if name.startswith("saelens"):
        return SAELens(case, name == "saelens_sparse", dictionary, b_dec)
    return {"dictionary_learning": DictionaryLearning, "sparsify": Sparsify}[name](
        case, dictionary, b_dec
    )
