"""Checkpoints on disk: one folder per step, whole or absent, the one before kept until it is.

A folder is filled beside its place, synced, and renamed; kill -9 at any moment leaves the last whole
one. Knows files and tensors, not what they mean.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.artifact import load_json, load_tensors, save_json, save_tensors
from models.train.group import Group

FORMAT = "dipole-checkpoint-1"
DOCUMENT = "checkpoint.json"
FOLDER = re.compile(r"step-(\d{9})")
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: its document, the tensors all ranks share, and this rank's own."""

    step: int
    document: dict[str, Any]
    shared: list[dict[str, Tensor]]
    own: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its checkpoints, and how many steps a crash may cost.

    The folder belongs to one training. It takes twice the room of one checkpoint. All ranks of a
    group must see the same folder.
    """

    folder: Path
    every: int
    """Steps between two checkpoints."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every is {self.every}: a checkpoint is due after at least 1 step")

    def last_step(self) -> int | None:
        """The step of the last whole checkpoint; None when there is none."""
        return max(self._steps(), default=None)

    def read(self, group: Group) -> Saved | None:
        """The last whole checkpoint; None when there is none.

        Raises ValueError when it is damaged, or was written by another number of processes.
        """
        step = self.last_step()
        if step is None:
            return None
        folder = self.folder / _name(step)
        document = load_json(folder / DOCUMENT)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"{folder / DOCUMENT} is no checkpoint of Dipole: remove {folder}")
        if document["world"] != group.world:
            raise ValueError(
                f"{folder} was written by {document['world']} processes, but here are "
                f"{group.world}: resume with as many, or give another checkpoint folder"
            )
        shared = [load_tensors(folder / _shared(i)) for i in range(document["shared"])]
        return Saved(step, document, shared, load_tensors(folder / _own(group.rank)))

    def write(
        self,
        step: int,
        document: Mapping[str, Any],
        shared: Sequence[Tensors],
        own: Tensors,
        group: Group,
    ) -> None:
        """Write one checkpoint and remove the ones before it; rank 0 writes what is shared.

        Raises OSError, on every rank, when it cannot be written: the one before stays whole.
        """
        temporary = self.folder / f".{_name(step)}.tmp"
        head = dict(document) | {"format": FORMAT, "world": group.world, "shared": len(shared)}

        def share() -> None:
            for index, tensors in enumerate(shared):
                save_tensors(temporary / _shared(index), tensors)
            save_json(temporary / DOCUMENT, head)
            _sync(temporary)
            temporary.rename(self.folder / _name(step))
            _sync(self.folder)

        try:
            self._together(group, step, lambda: self._clear(temporary), only_first=True)
            self._together(group, step, lambda: save_tensors(temporary / _own(group.rank), own))
            self._together(group, step, share, only_first=True)
        except OSError:
            if group.rank == 0:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        if group.rank == 0:
            for older in self._steps():
                if older < step:
                    shutil.rmtree(self.folder / _name(older), ignore_errors=True)

    def _together(
        self, group: Group, step: int, write: Callable[[], None], only_first: bool = False
    ) -> None:
        """Do one part on this rank (or on rank 0 only); an error of any rank is raised by all."""
        problem: OSError | None = None
        if group.rank == 0 or not only_first:
            try:
                write()
            except OSError as error:
                problem = error
        if bool(group.any(torch.tensor(problem is not None))):
            last = self.last_step()
            rest = "no checkpoint was written before" if last is None else f"step {last} is whole"
            raise OSError(
                f"the checkpoint of step {step} cannot be written to {self.folder} "
                f"({problem or 'see the other process'}); {rest}: free some space, then start the "
                "same training again to go on from there"
            ) from problem

    def _clear(self, temporary: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(left)
        temporary.mkdir()

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        found = (FOLDER.fullmatch(path.name) for path in self.folder.iterdir())
        return [int(match[1]) for match in found if match]


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _shared(index: int) -> str:
    return f"sae-{index}.safetensors"


def _own(rank: int) -> str:
    return f"rank-{rank}.safetensors"


def _sync(folder: Path) -> None:
    """Make the names in a folder last, as fsync of its files does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
