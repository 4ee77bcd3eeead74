"""The matmul floor, and this project's own training step, as contenders of the training benchmark."""

from typing import Any

import torch
from torch import Tensor

from models.activations import Batch
from models.kernels import KernelOptions
from models.sae import SAEConfig, SparseAutoencoder
from models.train import TrainConfig, Training


class Floor:
    """The batch's encode matmul in float32 and nothing else."""

    def __init__(self, case: dict[str, Any], dictionary: Tensor) -> None:
        self.W_enc = dictionary.T.contiguous()
        self.out = dictionary.new_empty(case["rows"], len(dictionary))

    def step(self, x: Tensor) -> None:
        torch.mm(x, self.W_enc, out=self.out)


class Ours:
    """The whole `Training.take_step`: statistics, clipping and unit norm included, AuxK off."""

    def __init__(
        self, case: dict[str, Any], kernels: KernelOptions, dictionary: Tensor, b_dec: Tensor
    ) -> None:
        d_sae, d_in = dictionary.shape
        sae = SparseAutoencoder(SAEConfig(d_in, d_sae, case["sparsifier"], case["k"]))
        sae.to(dictionary.device)
        with torch.no_grad():
            sae.W_dec.copy_(dictionary)
            sae.W_enc.copy_(dictionary.T)
            sae.b_dec.copy_(b_dec)
        recipe = TrainConfig(
            tokens=case["steps"] * case["rows"],
            batch=case["rows"],
            lr=case["lr"],
            betas=(0.9, 0.999),
            warmup=0,
            decay=0,
            auxk_weight=0,
            scale_inputs=False,
            kernels=kernels,
        )
        self.training = Training(sae, recipe)

    def step(self, x: Tensor) -> None:
        tokens = torch.zeros(len(x), dtype=torch.long, device=x.device)
        self.training.take_step(Batch(x, tokens))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.training.sae.eval()(x).reconstruction


def make_contender(name: str, case: dict[str, Any], dictionary: Tensor, b_dec: Tensor):
    """`floor`, `ours_exact`, `ours_candidates`, or `ours_torch` (exact, nothing compiled)."""
    if name == "floor":
        return Floor(case, dictionary)
    kernels = {
        "ours_exact": KernelOptions(),
        "ours_candidates": KernelOptions("candidates"),
        "ours_torch": KernelOptions(backend="torch"),
    }
    return Ours(case, kernels[name], dictionary, b_dec)
