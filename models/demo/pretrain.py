"""Training of the demo language model: GPT-NeoX, Muon for matrices, Adam for the rest.

A generator of steps, resumable bit for bit from its checkpoint. Knows nothing of files except
the checkpoint, and prints nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from models.artifact import load_json, load_tensors, save_json, save_tensors


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the weights, given the packed text."""

    vocabulary: int = 4096
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    context: int = 512
    steps: int = 1150
    batch: int = 16  # windows per step
    muon_lr: float = 5e-3  # update RMS matched to Adam's
    adam_lr: float = 4e-3
    weight_decay: float = 0.1
    warmup: int = 60
    decay_from: float = 0.5  # the share of steps after which the rate falls linearly to 0
    clip: float = 1.0
    seed: int = 0
    compile: bool = True


class PretrainStep(NamedTuple):
    """One optimiser step: its number (from 1), mean loss in nats per token, tokens per second."""

    step: int
    loss: float
    rate: float


def build_model(config: PretrainConfig) -> GPTNeoXForCausalLM:
    """A freshly initialised GPT-NeoX of the configured size."""
    torch.manual_seed(config.seed)
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.hidden,
            max_position_embeddings=config.context,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


class Pretraining:
    """Model, optimisers and step count of one training, with its checkpoint on disk."""

    def __init__(self, config: PretrainConfig, directory: Path, device: str = "cpu") -> None:
        self.config = config
        self.directory = directory
        self.device = device
        self.step = 0
        self.model = build_model(config).to(device)
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and "layers." in n]
        others = [p for n, p in self.model.named_parameters() if p.ndim != 2 or "layers." not in n]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices,
                lr=config.muon_lr,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.Adam(others, lr=config.adam_lr, betas=(0.9, 0.95)),
        ]
        if (directory / "checkpoint.json").is_file():
            self._resume()

    def run(self, windows: np.ndarray) -> Iterator[PretrainStep]:
        """Train to the configured step on packed windows int32 [windows, context + 1]."""
        forward = torch.compile(self.model) if self.config.compile else self.model
        autocast = torch.autocast(self.device, torch.bfloat16)
        while self.step < self.config.steps:
            start = time.monotonic()
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = self._rate(group.setdefault("base_lr", group["lr"]))
            batch = torch.from_numpy(self._batch(windows)).long().to(self.device)
            inputs = batch[:, :-1].clamp(min=0)
            with autocast:
                logits = forward(input_ids=inputs, use_cache=False).logits
                loss = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1).float(), batch[:, 1:].flatten(), ignore_index=-1
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            for optimiser in self.optimisers:
                optimiser.step()
                optimiser.zero_grad()
            self.step += 1
            yield PretrainStep(self.step, loss.item(), inputs.numel() / (time.monotonic() - start))

    def save(self) -> None:
        """Write weights, optimiser state and step; the JSON, written last, names the tensors' file."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for number, optimiser in enumerate(self.optimisers):
            for parameter, state in optimiser.state_dict()["state"].items():
                tensors |= {
                    f"optimiser.{number}.{parameter}.{key}": torch.as_tensor(v)
                    for key, v in state.items()
                }
        name = f"checkpoint-{self.step}.safetensors"
        save_tensors(self.directory / name, tensors)
        save_json(
            self.directory / "checkpoint.json",
            {"step": self.step, "tensors": name, "config": asdict(self.config)},
        )
        for old in self.directory.glob("checkpoint-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _resume(self) -> None:
        state = load_json(self.directory / "checkpoint.json")
        if state["config"] != asdict(self.config):
            raise ValueError(
                f"{self.directory} holds a training of another configuration: use the same options, or another folder"
            )
        tensors = load_tensors(self.directory / state["tensors"], self.device)
        weights = {
            k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")
        }
        self.model.load_state_dict(weights)
        for number, optimiser in enumerate(self.optimisers):
            states: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in tensors.items():
                if name.startswith(f"optimiser.{number}."):
                    _, _, parameter, key = name.split(".", 3)
                    states.setdefault(int(parameter), {})[key] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        self.step = state["step"]

    def _batch(self, windows: np.ndarray) -> np.ndarray:
        """The windows of the current step; every pass over them has an order of its own."""
        positions = self.step * self.config.batch + np.arange(self.config.batch)
        epochs, offsets = np.divmod(positions, len(windows))
        orders = {
            e: np.random.default_rng([self.config.seed, e]).permutation(len(windows))
            for e in set(epochs)
        }
        return windows[
            [orders[epoch][offset] for epoch, offset in zip(epochs, offsets, strict=True)]
        ]

    def _rate(self, base: float) -> float:
        rising = (self.step + 1) / self.config.warmup
        falling = (1 - self.step / self.config.steps) / (1 - self.config.decay_from)
        return base * min(1.0, rising, falling)
