"""Same data, same start, same number of steps: the reconstruction error of ours and of each peer."""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import peers
import torch
from torch import Tensor

from models.activations import ActivationStream
from models.corpus import make_windows
from models.language_model import LanguageModel
from models.texts import read_documents
from models.train.start import geometric_median

ROWS_KEPT = 131_072  # training goes over them as often as it takes
HELD_OUT = 16_384


def compare_fidelity(names: list[str], options: argparse.Namespace) -> dict[str, float]:
    """Train a TopK SAE with each, one after the other; held-out normalised MSE by contender."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings = _write_data(options, Path(folder))
        held_out = settings.pop("held_out")
        print(
            f"\nTopK {options.width} on layer {options.layer} of {options.model}, k {options.k}, "
            f"{options.steps} steps of {options.batch}, same start; held-out nMSE of {HELD_OUT:,} tokens"
        )
        result = {}
        for name in names:
            contender = stack.enter_context(peers.Contender(name, options.threads))
            contender.ask("prepare", case=settings | {"batch": None, "device": "cpu"})
            before = contender.ask("evaluate", data=held_out)["nmse"]
            contender.ask("train", data=settings["batch"], batch=options.batch, steps=options.steps)
            result[name] = contender.ask("evaluate", data=held_out)["nmse"]
            share = result[name] / result[names[0]]
            print(
                f"{name:22s}{result[name]:9.4f}   {share:6.3f} x {names[0]}   (start {before:.4f})",
                flush=True,
            )
    return {name: round(value, 5) for name, value in result.items()}


def _write_data(options: argparse.Namespace, folder: Path) -> dict:
    training, held_out = _activations(options)
    scale = (training.shape[1] / training.square().sum(-1).mean()).sqrt()
    dictionary = torch.nn.functional.normalize(
        torch.randn(options.width, training.shape[1], generator=torch.Generator().manual_seed(0)),
        dim=-1,
    )
    # dictionary_learning sets b_dec to the geometric median of its first batch: so do all.
    median = geometric_median(training[: options.batch] * scale, iterations=100)
    files = {"batch": training * scale, "held_out": held_out * scale}
    files |= {"dictionary": dictionary, "b_dec": median}
    for name, tensor in files.items():
        np.save(folder / name, tensor.numpy())
    paths = {name: str(folder / f"{name}.npy") for name in files}
    numbers = {"k": options.k, "rows": options.batch, "lr": 1e-3, "steps": options.steps}
    return numbers | paths | {"sparsifier": "topk"}


def _activations(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Shuffled activations of most of the text, and of its last windows."""
    lm = LanguageModel.load(options.model)
    windows = list(make_windows(lm, read_documents(options.text)))
    held = windows[-max(1, len(windows) // 10) :]
    parts = ((windows[: -len(held)], ROWS_KEPT), (held, HELD_OUT))
    served = [ActivationStream(lm, options.layer, part, 4_096, count, 0) for part, count in parts]
    training, rest = (torch.cat([batch.activations for batch in stream]) for stream in served)
    return training, rest
