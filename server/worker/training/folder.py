"""What a training run keeps on disk until it is done: its plan, its checkpoint, what it has trained.

`runs/{id}` below the data directory. A cancelled or failed run keeps it, so that it can be resumed;
a run that is done leaves nothing there. Reads no database.
"""

import shutil
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.artifact import load_json, save_json
from models.sae import SparseAutoencoder
from models.sae.checkpoint import save_sae
from models.train import Checkpoints
from server.protocol import TrainRequest
from server.store.runs import RunRecord

RUNS = "runs"
PLAN = "plan.json"
TRAINED = "trained.json"


class RunFolder:
    """The folder of one run, found again by its later attempts if `is_kept`.

    `token` is the run's own, whatever database it is listed in: SAEs carry it, so that an attempt
    knows those of an earlier one.
    """

    def __init__(self, path: Path, token: str | None, request: TrainRequest) -> None:
        """Raises ValueError when an earlier attempt of this very run was asked for something else."""
        self.path = path
        self.is_kept = token is not None
        self.token = token or uuid.uuid4().hex
        self._plan = _read_plan(path)
        if self._plan.get("token") != self.token:
            # Another database's run of the same number, perhaps: nothing of it fits.
            shutil.rmtree(path, ignore_errors=True)
            self._plan = {"request": request.model_dump(mode="json"), "token": self.token}
        elif not _is_of(self._plan, request):
            raise ValueError(
                f"{path} holds a training of other settings than this run asks for, or of another "
                "version of Dipole: move the folder away to train from the start"
            )
        path.mkdir(parents=True, exist_ok=True)

    @classmethod
    def open(cls, data_dir: Path, run: RunRecord | None, request: TrainRequest) -> "RunFolder":
        """The folder of this run, with what an earlier attempt left; a temporary one without a run."""
        place = data_dir / RUNS
        place.mkdir(parents=True, exist_ok=True)
        if run is None:
            return cls(Path(tempfile.mkdtemp(prefix="unlisted-", dir=place)), None, request)
        return cls(place / str(run.id), f"{run.id} of {run.created_at}", request)

    def owns(self, about: dict[str, Any], place: int) -> bool:
        """Whether this is what is said about the SAE of this place in this run's sweep."""
        return about.get("run") == [self.token, place]

    @property
    def names(self) -> list[str] | None:
        """The names that the first attempt chose; None before it has."""
        return self._plan.get("names")

    def save_names(self, names: Sequence[str]) -> None:
        """Keep the chosen names for later attempts."""
        self._plan["names"] = list(names)
        save_json(self.path / PLAN, self._plan)

    def checkpoints(self, every: int) -> Checkpoints | None:
        """Where `train` is to keep its state; None where nobody would find it again."""
        return Checkpoints(self.path / "checkpoint", every) if self.is_kept else None

    @property
    def is_trained(self) -> bool:
        """Whether the training itself is over: its SAEs are here, or in the library already."""
        return (self.path / TRAINED).is_file()

    def keep_trained(self, saes: Sequence[tuple[SparseAutoencoder, dict[str, Any]]]) -> None:
        """Keep the trained SAEs, what is to be said about each beside it, and drop the checkpoint."""
        for place, (sae, about) in enumerate(saes):
            save_sae(self.trained(place), sae, about)
        save_json(self.path / TRAINED, {"saes": len(saes)})
        shutil.rmtree(self.path / "checkpoint", ignore_errors=True)

    def trained(self, place: int) -> Path:
        """Where the trained SAE of this place in the sweep waits for the library."""
        return self.path / f"sae-{place}"

    def remove(self) -> None:
        """The run is done: nothing of this is needed again."""
        shutil.rmtree(self.path, ignore_errors=True)


def _is_of(plan: dict[str, Any], request: TrainRequest) -> bool:
    """Whether the plan is of this request; fields that came since it was written have their defaults."""
    try:
        return TrainRequest.model_validate(plan.get("request")) == request
    except ValueError:
        return False


def _read_plan(path: Path) -> dict[str, Any]:
    with suppress(ValueError):
        plan = load_json(path / PLAN)
        if isinstance(plan, dict):
            return plan
    return {}
