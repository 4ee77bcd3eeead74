"""A tiny model and text on disk, and the words that train on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from models.artifact import load_tensors
from server.settings import Settings
from server.store.runs import RunRecord, get_run
from server.store.session import Database
from tests.models.tiny import TEXTS, save_tiny_lm


class Ground:
    """A folder with a model and a text, in which trainings put their data directories."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = str(save_tiny_lm(folder / "model"))
        self.text = str(folder / "text.txt")
        Path(self.text).write_text("\n\n".join(f"{a} {b}" for a in TEXTS for b in TEXTS[:4]))

    def words(self, data: str, **changes: object) -> list[str]:
        """Words of a `dipole train` of 32 steps into the data directory of this name."""
        flags = {
            "model": self.model,
            "text": self.text,
            "layer": 1,
            "width": 16,
            "k": 3,
            "tokens": 2_048,
            "batch": 64,
            "lr": 0.003,
            "name": "tiny",
            "checkpoint-every": 5,
            "device": "cpu",
        } | {name.replace("_", "-"): value for name, value in changes.items()}
        given = [(f"--{name}", value) for name, value in flags.items() if value is not None]
        switches = [flag for flag, value in given if value is True]
        valued = [word for flag, value in given if value is not True for word in (flag, str(value))]
        return ["train", *switches, *valued, "--data-dir", str(self.folder / data), "--json"]

    @contextmanager
    def database(self, data: str) -> Iterator[Database]:
        """The database of the data directory of this name."""
        database = Database(Settings.read({}, data_dir=self.folder / data).database_url)
        try:
            yield database
        finally:
            database.dispose()

    def weights(self, data: str, name: str = "tiny") -> dict[str, torch.Tensor]:
        """The weights of an SAE in the library."""
        return load_tensors(self.folder / data / "saes" / name / "sae.safetensors")


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def run_of(database: Database) -> RunRecord:
    """The first run."""
    with database.read() as session:
        run = get_run(session, 1)
    assert run is not None
    return run
