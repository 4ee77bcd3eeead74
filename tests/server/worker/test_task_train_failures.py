"""Training that fails: it says why, and what it had is used when it goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cli import main
from server.store.saes import get_sae
from server.store.session import Database
from tests.server.worker.training_text import Ground, assert_equal, run_of


@pytest.fixture
def database(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Database]:
    """The database of the data directory that is named like the test."""
    with ground.database(request.node.name) as database:
        yield database


def test_a_failed_training_says_why_and_its_checkpoint_is_usable(
    ground: Ground, whole: dict, database: Database, request: pytest.FixtureRequest, monkeypatch
) -> None:
    from models.train.training import Training

    data = request.node.name
    folder = ground.folder / data
    take_step = Training.take_step

    def diverge(self, batch):
        if self.step == 8:
            batch = batch._replace(activations=batch.activations * float("nan"))
        return take_step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "take_step", diverge)
        assert main(ground.words(data)) == 1
    failed = run_of(database)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "nan" in failed.error
    assert "Error:" not in failed.error
    assert (folder / "runs/1/checkpoint/step-000000005").is_dir()

    assert main(["train", "--resume", "1", "--json", "--data-dir", str(folder)]) == 0

    assert_equal(ground.weights(data), whole)


def test_a_full_disk_says_so_and_the_checkpoint_before_is_usable(
    ground: Ground, whole: dict, database: Database, request: pytest.FixtureRequest, monkeypatch
) -> None:
    from models.train import checkpoint

    data = request.node.name
    folder = ground.folder / data
    save_tensors = checkpoint.save_tensors

    def fill(path: Path, tensors) -> None:
        if "step-000000010" in str(path):
            raise OSError(28, "No space left on device")
        save_tensors(path, tensors)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_tensors", fill)
        assert main(ground.words(data)) == 1
    assert run_of(database).state == "failed"
    assert "No space left on device" in str(run_of(database).error)

    assert main(["train", "--resume", "1", "--json", "--data-dir", str(folder)]) == 0

    assert_equal(ground.weights(data), whole)


def test_a_name_taken_meanwhile_gets_a_number(
    ground: Ground, whole: dict, database: Database, request: pytest.FixtureRequest, monkeypatch
) -> None:
    from server.worker.training import entering

    data = request.node.name
    folder = ground.folder / data
    measure = entering.measure_fidelity

    def break_once(*_):
        raise RuntimeError("the device is gone")

    with monkeypatch.context() as patched:
        patched.setattr(entering, "measure_fidelity", break_once)
        assert main(ground.words(data)) == 1
    assert entering.measure_fidelity is measure
    assert main(ground.words(data, seed=5)) == 0
    assert main(["train", "--resume", "1", "--json", "--data-dir", str(folder)]) == 0

    with database.read() as session:
        assert [get_sae(session, name) is not None for name in ("tiny", "tiny-2")] == [True, True]
    assert_equal(ground.weights(data, "tiny-2"), whole)
