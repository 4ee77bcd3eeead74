"""A signed SAE as a one-sided one of twice the width, for tools that assume ReLU: [D, −D].

Identity (AbsTopK §3): AbsTopK_k on (W, b, D) = TopK_k on ([W, −W], [b, −b], [D, −D]). Latent i is
the + pole of our feature i, latent d_sae + i its − pole. Knows no file.
"""

from dataclasses import replace

import torch

from models.sae.config import Sparsifier
from models.sae.foreign.plain import PlainSAE

ONE_SIDED: dict[Sparsifier, Sparsifier] = {
    "abstopk": "topk",
    "batchabstopk": "batchtopk",
    "hard_threshold": "jumprelu",
    "soft_threshold": "relu",
    "dim": "relu",
}
"""What each signed rule becomes on the two halves."""


def split_poles(plain: PlainSAE) -> PlainSAE:
    """The one-sided SAE with the same reconstructions: z = z₊ − z₋ of its two halves.

    soft threshold's λ moves into b_enc. Nested widths are dropped: the halves interleave them.
    Raises ValueError for an SAE that is one-sided already.
    """
    if plain.rule not in ONE_SIDED:
        raise ValueError(
            f"{plain.rule} has no negative codes, so there is nothing to split: "
            "export it with --format saelens, without --split"
        )
    b_enc = torch.cat([plain.b_enc, -plain.b_enc])
    threshold = None if plain.threshold is None else plain.threshold.repeat(2)
    if plain.rule == "soft_threshold":
        assert threshold is not None
        b_enc, threshold = b_enc - threshold, None
    return replace(
        plain,
        W_enc=torch.cat([plain.W_enc, -plain.W_enc], dim=1),
        b_enc=b_enc,
        W_dec=torch.cat([plain.W_dec, -plain.W_dec]),
        rule=ONE_SIDED[plain.rule],
        threshold=threshold,
        prefixes=(),
        about={**plain.about, "split": True},
    )
