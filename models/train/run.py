"""A training from the first batch to the last: several SAEs on one pass, checkpoints, stop, resume.

A generator of updates. Knows nothing of language models, printing or databases.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from models.sae import SparseAutoencoder
from models.train.checkpoint import Checkpoints, Saved
from models.train.group import Group
from models.train.start import Start
from models.train.sweep import Pair, check_same, check_sweep, describe
from models.train.training import Training, TrainStep

if TYPE_CHECKING:
    from models.activations import Batch


class TrainUpdate(NamedTuple):
    """After one batch: the step of each SAE, and the SAEs themselves so far."""

    steps: list[TrainStep]
    saes: list[SparseAutoencoder]


@runtime_checkable
class Resumable(Protocol):
    """A stream that can tell where it stands and go on from there, bit for bit."""

    def state(self) -> dict[str, Tensor]:
        """Where the stream stands, behind the last batch it served."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        ...


def train(
    configs: Sequence[Pair],
    stream: "Iterable[Batch]",
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[TrainUpdate]:
    """Train several SAEs on the same batches, in step, until the recipe's steps or the stream end.

    With `checkpoints`, one is written every so many steps and at the end, before the update is
    yielded; where there is one of the same configs, training goes on from it, and its last update is
    yielded first. `stop` is asked after each step: when true, a checkpoint is written and the
    generator returns. In an initialised torch.distributed group, each rank gives its share of the
    batches and all ranks get the same SAEs.
    Raises ValueError on configs that cannot share a pass or differ from the checkpoint's,
    FloatingPointError when a loss is not finite, OSError when a checkpoint cannot be written.
    """
    check_sweep(configs)
    if checkpoints and not isinstance(stream, Resumable):
        raise ValueError(
            "checkpoints need a stream with state() and restore(), such as ActivationStream: "
            "give one, or train without checkpoints"
        )
    run = _Run(configs, stream, checkpoints, Group.current())
    try:
        run.open()
        yield from run.updates(stop or (lambda: False))
    finally:
        run.close()


class _Run:
    """The state of `train`: the trainings, and the batches read ahead of them."""

    def __init__(
        self,
        configs: Sequence[Pair],
        stream: "Iterable[Batch]",
        checkpoints: Checkpoints | None,
        group: Group,
    ) -> None:
        self.configs, self.stream, self.checkpoints, self.group = (
            configs,
            stream,
            checkpoints,
            group,
        )
        self.saved = checkpoints.read(group) if checkpoints else None
        self.ahead: deque[Batch] = deque()
        self.last: list[TrainStep] = []
        if self.saved:
            assert isinstance(stream, Resumable)
            check_same(configs, self.saved.document["saes"])
            stream.restore(_part(self.saved.own, "stream."))
        self.source = iter(stream)
        self.trainings: list[Training] = []

    def open(self) -> None:
        """Start the trainings, or bring them to where the checkpoint is; reads the first batches."""
        self.trainings = self._resume(self.saved) if self.saved else self._begin()

    @property
    def step(self) -> int:
        return self.trainings[0].step

    def updates(self, stop: Callable[[], bool]) -> Iterator[TrainUpdate]:
        saes = [training.sae for training in self.trainings]
        if self.last:
            yield TrainUpdate(self.last, saes)
        written = self.step
        stopping = False
        while self.step < self.configs[0][1].steps and not stopping:
            batch = self._next()
            if batch is None:
                break
            self.last = [self._take_step(index, batch) for index in range(len(self.trainings))]
            stopping = self._any(stop())
            ending = stopping or self.step == self.configs[0][1].steps
            if self.checkpoints and (ending or self.step % self.checkpoints.every == 0):
                self._write(self.checkpoints)
                written = self.step
            yield TrainUpdate(self.last, saes)
        if self.checkpoints and written != self.step:
            self._write(self.checkpoints)

    def close(self) -> None:
        """Let the stream's own thread end now, not when it is collected."""
        close = getattr(self.source, "close", None)
        if close:
            close()

    def _take_step(self, index: int, batch: "Batch") -> TrainStep:
        try:
            return self.trainings[index].take_step(batch)
        except FloatingPointError as error:
            last = self.checkpoints.last_step() if self.checkpoints else None
            kept = (
                "no checkpoint was kept"
                if last is None
                else f"the checkpoint of step {last} is whole"
            )
            name = f"SAE {index + 1} of {len(self.trainings)} ({self.configs[index][0].sparsifier})"
            raise FloatingPointError(f"{name}: {error}; {kept}") from error

    def _next(self) -> "Batch | None":
        """The next batch; None on every rank as soon as one of them has none left."""
        batch = self.ahead.popleft() if self.ahead else next(self.source, None)
        return None if self._any(batch is None) else batch

    def _any(self, fact: bool) -> bool:
        return bool(self.group.any(torch.tensor(fact)))

    def _begin(self) -> list[Training]:
        """New SAEs, started on what is read ahead; those batches are trained on afterwards."""
        wanted = {config.start_tokens for _, config in self.configs}
        rows = 0
        while rows * self.group.world < max(wanted):
            batch = next(self.source, None)
            if batch is None:
                break
            self.ahead.append(batch)
            rows += len(batch.activations)
        starts = {tokens: Start.of(self._first(tokens), self.group) for tokens in sorted(wanted)}
        return [
            Training.begin(sae, config, starts[config.start_tokens]) for sae, config in self.configs
        ]

    def _first(self, tokens: int) -> "list[Batch]":
        """The whole batches that hold the first so many tokens of all ranks."""
        chosen, rows = [], 0
        for batch in self.ahead:
            if rows * self.group.world >= tokens:
                break
            chosen.append(batch)
            rows += len(batch.activations)
        return chosen

    def _resume(self, saved: Saved) -> list[Training]:
        from models.activations import Batch  # here: it brings transformers along

        first = next(self.source, None)
        device = self._device(saved.document.get("device", "cpu"), first)
        for index in range(saved.document["ahead"]):
            held = _part(saved.own, f"ahead.{index}.")
            self.ahead.append(Batch(held["activations"].to(device), held["tokens"].to(device)))
        if first is not None:
            self.ahead.append(first)
        trainings = []
        for index, (sae, config) in enumerate(self.configs):
            entry = saved.document["saes"][index]
            weights = SparseAutoencoder(replace(sae, input_scale=entry["input_scale"])).to(device)
            training = Training(weights, config, self.group)
            training.restore(saved.shared[index], saved.step)
            training.noise.set_state(saved.own[f"noise.{index}"])
            trainings.append(training)
            self.last.append(TrainStep(**entry["last"]))
        return trainings

    def _device(self, began_on: str, first: "Batch | None") -> torch.device:
        """Where to go on: where the batches are; all being served, on the kind of device it began on.

        Raises ValueError when that is another kind: noise and sums would be others from here on.
        """
        if first is None:
            found = began_on if _is_here(began_on) else "cpu"
        else:
            found = first.activations.device.type
        if found != began_on:
            raise ValueError(
                f"the checkpoint began on {began_on}, but this is {found}: resume on the device it "
                "began on, or give another checkpoint folder"
            )
        return torch.device(began_on) if first is None else first.activations.device

    def _write(self, checkpoints: Checkpoints) -> None:
        assert isinstance(self.stream, Resumable)
        saes = [
            describe(pair)
            | {"input_scale": training.sae.config.input_scale, "last": last._asdict()}
            for pair, training, last in zip(self.configs, self.trainings, self.last, strict=True)
        ]
        document = {"step": self.step, "saes": saes, "ahead": len(self.ahead)}
        document |= {"device": self.trainings[0].sae.b_dec.device.type}
        document |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        own = {f"stream.{name}": tensor for name, tensor in self.stream.state().items()}
        for index, training in enumerate(self.trainings):
            own[f"noise.{index}"] = training.noise.get_state()
        for index, batch in enumerate(self.ahead):
            own[f"ahead.{index}.activations"] = batch.activations
            own[f"ahead.{index}.tokens"] = batch.tokens
        shared = [training.state() for training in self.trainings]
        checkpoints.write(self.step, document, shared, own, self.group)


def _is_here(kind: str) -> bool:
    """Whether this machine has such a device and torch can use it."""
    try:
        torch.empty(0, device=kind)
    except (RuntimeError, AssertionError):  # as torch says that it was built without
        return False
    return True


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
