"""What tells the weights of one model from those of another under the same name.

Knows nothing of files: a model is asked, wherever it was loaded from.
"""

import hashlib

import torch
from torch import nn

SAMPLES = 1_024  # numbers of each tensor, spread over it


@torch.inference_mode()
def weights_mark(model: nn.Module) -> str:
    """A digest of every parameter's name, shape, type and a sample of its numbers.

    A model that was trained on, or scaled, has another one; a few single numbers that were changed by
    hand may go unnoticed.
    """
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        flat = parameter.detach().flatten()
        sample = flat[:: max(1, len(flat) // SAMPLES)].float().cpu().numpy()
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        digest.update(sample.tobytes())
    return digest.hexdigest()
