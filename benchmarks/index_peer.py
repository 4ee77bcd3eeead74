"""One case of the index benchmark with SAEDashboard, in its own environment, as a line of JSON.

The weights are those of our case: the same model through TransformerLens' own converter, the same SAE.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
import torch
from sae_dashboard.sae_vis_data import SaeVisConfig  # pyright: ignore[reportMissingImports]
from sae_dashboard.sae_vis_runner import SaeVisRunner  # pyright: ignore[reportMissingImports]
from sae_lens import HookedSAETransformer, TopKSAE, TopKSAEConfig  # pyright: ignore
from sae_lens.saes.sae import SAEMetadata  # pyright: ignore[reportMissingImports]
from safetensors.torch import load_file
from transformer_lens import HookedTransformerConfig  # pyright: ignore[reportMissingImports]
from transformer_lens.pretrained.weight_conversions import (  # pyright: ignore
    convert_gpt2_weights,
)
from transformers import GPT2LMHeadModel

LAYERS, D_IN, K, CONTEXT = 6, 128, 16, 128
HOOK = f"blocks.{LAYERS - 1}.hook_resid_post"


def main() -> None:
    """CASE TOKENS ["cached"]."""
    case, tokens, cached = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "cached"
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = load_model(case.parent / "lm")
    sae = load_sae(case / "plain")
    rows = torch.from_numpy(np.load(case.parent / "tokens.npy")[: tokens // CONTEXT]).long()
    before = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        config = SaeVisConfig(
            hook_point=HOOK,
            features=range(sae.cfg.d_sae),
            ignore_positions=[0],
            cache_dir=Path(folder) if cached else None,
        )
        begin = process_time()
        found = SaeVisRunner(config).run(encoder=sae, model=model, tokens=rows)
        seconds = process_time() - begin
    largest = max(found.feature_stats.max)
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb() - before, "largest": largest}))


def load_model(folder: Path) -> HookedSAETransformer:
    """Our random GPT-2, converted."""
    source = GPT2LMHeadModel.from_pretrained(folder)
    config = HookedTransformerConfig(
        n_layers=LAYERS,
        d_model=D_IN,
        n_ctx=CONTEXT,
        d_head=D_IN // 4,
        n_heads=4,
        d_mlp=4 * D_IN,
        d_vocab=source.config.vocab_size,
        act_fn="gelu_new",
        normalization_type="LN",
        eps=source.config.layer_norm_epsilon,
        device="cpu",
    )
    model = HookedSAETransformer(config)
    model.load_state_dict(convert_gpt2_weights(source, config), strict=False)
    return model.eval()


def load_sae(path: Path) -> TopKSAE:
    """Our random SAE, in SAELens' class."""
    weights = load_file(path)
    config = TopKSAEConfig(
        d_in=D_IN,
        d_sae=weights["b_enc"].shape[0],
        k=K,
        dtype="float32",
        device="cpu",
        apply_b_dec_to_input=True,
        rescale_acts_by_decoder_norm=True,  # its rows have unit norm; the runner asks for it
        metadata=SAEMetadata(hook_name=HOOK, model_name="random"),
    )
    sae = TopKSAE(config)
    sae.load_state_dict(weights)
    return sae.eval()


def peak_mb() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
