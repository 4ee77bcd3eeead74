"""What a run keeps until it is done is found again by its own later attempts, and by nobody else."""

from pathlib import Path

import pytest

from models.artifact import load_json, save_json
from server.protocol import TrainRequest
from server.worker.training.folder import RunFolder

REQUEST = TrainRequest(text="x.txt", k=4, name="mine")


def keep_something(path: Path) -> Path:
    """A folder that an attempt has left: its plan, and a checkpoint."""
    folder = RunFolder(path, "1 of today", REQUEST)
    folder.save_names(["mine"])
    checkpoint = path / "checkpoint" / "step-000000010"
    checkpoint.mkdir(parents=True)
    return checkpoint


def rewrite_plan(path: Path, request: dict) -> None:
    save_json(path / "plan.json", load_json(path / "plan.json") | {"request": request})


@pytest.mark.parametrize("field", ["checkpoint_every", "precision"])
def test_a_request_that_has_gained_a_field_since_finds_its_checkpoint(
    tmp_path: Path, field: str
) -> None:
    checkpoint = keep_something(tmp_path)
    request = REQUEST.model_dump(mode="json")
    del request[field]
    rewrite_plan(tmp_path, request)
    assert RunFolder(tmp_path, "1 of today", REQUEST).names == ["mine"]
    assert checkpoint.is_dir()


@pytest.mark.parametrize("change", [{"k": 5}, {"colour": "red"}])
def test_another_request_of_the_same_run_is_refused_and_nothing_is_deleted(
    tmp_path: Path, change: dict
) -> None:
    checkpoint = keep_something(tmp_path)
    rewrite_plan(tmp_path, REQUEST.model_dump(mode="json") | change)
    with pytest.raises(ValueError, match="holds a training of other settings"):
        RunFolder(tmp_path, "1 of today", REQUEST)
    assert checkpoint.is_dir()


def test_what_another_database_s_run_of_the_same_number_left_is_removed(tmp_path: Path) -> None:
    checkpoint = keep_something(tmp_path)
    assert RunFolder(tmp_path, "1 of yesterday", REQUEST).names is None
    assert not checkpoint.exists()
