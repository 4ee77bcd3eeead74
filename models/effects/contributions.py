"""Which features push a chosen logit up and which down: the direct path from the hook to the logits.

The final norm is frozen at what it does to this text, so that everything is linear and adds up:
features + error + bias + later blocks = the logit difference. Knows one text and one SAE.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.language_model import LanguageModel
from models.sae import SparseAutoencoder


class Contributions(NamedTuple):
    """Parts of logit(wanted) − logit(other) at one position, in nats before any soft cap."""

    features: Float[Tensor, "d_sae"]
    """z_i · (d_i / input_scale) through the frozen norm: 0 for latents that do not fire."""
    error: float
    """What the SAE does not reconstruct, x − x̂."""
    bias: float
    """The SAE's b_dec (and token mean), the norm's and the unembedding's biases."""
    later: float
    """What the blocks behind the hook add."""
    total: float
    """The logit difference itself, measured by a forward pass."""


@torch.inference_mode()
def contributions(
    lm: LanguageModel,
    sae: SparseAutoencoder,
    layer: int,
    ids: Sequence[int],
    wanted: int,
    other: int,
    position: int = -1,
) -> Contributions:
    """The direct contributions of every latent at one position of a text.

    Raises ValueError on a token outside the vocabulary or a final norm that is neither LayerNorm
    nor an RMS norm.
    """
    head = lm.model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    vocabulary = head.out_features
    if not (0 <= wanted < vocabulary and 0 <= other < vocabulary):
        raise ValueError(f"tokens {wanted} and {other} must be 0 to {vocabulary - 1}")
    tokens = torch.tensor([list(ids)], device=lm.device)
    hidden = lm.residuals(tokens, [layer, lm.layers - 1])
    at_hook, at_end = (hidden[place][0, position].float() for place in (layer, lm.layers - 1))
    reader = (head.weight[wanted] - head.weight[other]).float()
    linear, constant = _frozen_norm(lm, at_end, reader)
    here = tokens[0, position].reshape(1) if sae.config.needs_tokens else None
    code = sae.encode(at_hook[None], here)[0]
    features = code * (sae.W_dec.float() @ linear) / sae.config.input_scale
    rebuilt = sae.decode(code[None], here)[0]
    coded = code @ sae.W_dec.float() / sae.config.input_scale
    bias = constant + float((rebuilt - coded) @ linear)
    if head.bias is not None:
        bias += float(head.bias[wanted] - head.bias[other])
    total = float(lm.final_norm(at_end[None].to(lm.model.dtype)).float()[0] @ reader)
    if head.bias is not None:
        total += float(head.bias[wanted] - head.bias[other])
    return Contributions(
        features,
        float((at_hook - rebuilt) @ linear),
        bias,
        float((at_end - at_hook) @ linear),
        total,
    )


def _frozen_norm(
    lm: LanguageModel, at_end: Float[Tensor, "d_in"], reader: Float[Tensor, "d_in"]
) -> tuple[Float[Tensor, "d_in"], float]:
    """(linear, constant) with reader·norm(x) = linear·x + constant at this position's own scale."""
    form = lm.norm_form
    normed = lm.final_norm(at_end[None].to(lm.model.dtype)).float()[0] - form.shift
    before = form.gain * form.direction(at_end)
    # One scale for all coordinates: the one that brings `before` closest to what the norm made of it.
    scaled = reader * form.gain * float(normed @ before / before.square().sum())
    return form.direction(scaled), float(reader @ form.shift)
