"""Norms by what they answer: every class of norm is read, and what is none is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from transformers.models.cohere.modeling_cohere import CohereLayerNorm
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.olmo.modeling_olmo import OlmoLayerNorm

from models.norm import read_norm

WIDTHS = [16, 17]


class Softened(nn.Module):
    """What is no norm of ours: it depends on the size of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (1 + x.square().mean(-1, keepdim=True))


NORMS = {
    "LayerNorm": (lambda width: nn.LayerNorm(width), True),
    "without weights": (lambda width: nn.LayerNorm(width, elementwise_affine=False), True),
    "without shift": (lambda width: nn.LayerNorm(width, bias=False), True),
    "Cohere": (lambda width: CohereLayerNorm(width), True),
    "Olmo": (lambda width: OlmoLayerNorm(width), True),
    "torch's RMS": (lambda width: nn.RMSNorm(width), False),
    "Llama": (lambda width: LlamaRMSNorm(width), False),
    "Gemma": (lambda width: Gemma2RMSNorm(width), False),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NORMS)
def test_a_norm_equals_its_form(name: str, width: int, dtype: torch.dtype) -> None:
    make, is_centred = NORMS[name]
    norm = make(width).to(dtype)
    for parameter in norm.parameters():
        nn.init.normal_(parameter, 1.0)
    form = read_norm(norm, width, dtype, torch.device("cpu"))
    assert form.is_centred == is_centred
    x = (5 * torch.randn(3, width) + 2).to(dtype)
    direction = form.direction(x.float())
    scale = direction.square().mean(-1, keepdim=True).sqrt()
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    with torch.inference_mode():
        expected = norm(x).float()
    assert_close(
        form.gain * direction / scale + form.shift, expected, atol=tolerance, rtol=tolerance
    )


@pytest.mark.parametrize("norm", [Softened(), nn.Identity(), nn.Tanh()])
def test_what_is_no_norm_is_refused(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match="neither a LayerNorm nor an RMS norm"):
        read_norm(norm, 16, torch.float32, torch.device("cpu"))
