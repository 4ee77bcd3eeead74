"""No run is lost: resume, kill, stop, full disk, not a number."""

import errno
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models import artifact
from models.activations import ActivationStream
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.train import Checkpoints, TrainConfig, TrainUpdate, train
from tests.models.interrupted import CONFIGS, EVERY, STEPS, stream
from tests.models.training_data import ListStream

ROOT = Path(__file__).resolve().parents[2]


def weights(saes: list[SparseAutoencoder]) -> dict[str, torch.Tensor]:
    return {
        f"{number}.{name}": tensor.clone()
        for number, sae in enumerate(saes)
        for name, tensor in sae.state_dict().items()
    }


def assert_same(first: list[SparseAutoencoder], second: list[SparseAutoencoder]) -> None:
    expected = weights(second)
    for name, tensor in weights(first).items():
        assert torch.equal(tensor, expected[name]), name
    for one, other in zip(first, second, strict=True):
        assert one.config == other.config


@pytest.fixture(scope="module")
def whole() -> list[TrainUpdate]:
    """Every update of a run that nothing interrupts (its SAEs are the final ones throughout)."""
    return list(train(CONFIGS, stream()))


def stopped(folder: Path, after: int, source: ListStream | None = None) -> TrainUpdate:
    """The last update of a training that is asked to stop after so many steps."""
    asked = iter(range(1, STEPS + 1))
    *_, last = train(
        CONFIGS, source or stream(), Checkpoints(folder, EVERY), lambda: next(asked) == after
    )
    return last


@pytest.mark.parametrize("after", [1, 5, 8, 23])
def test_a_stopped_training_goes_on_bit_for_bit(
    whole: list[TrainUpdate], tmp_path: Path, after: int
) -> None:
    last = stopped(tmp_path, after)
    resumed = list(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))

    assert [step.step for step in last.steps] == [after, after]
    assert [update.steps for update in resumed] == [update.steps for update in whole[after - 1 :]]
    assert_same(resumed[-1].saes, whole[-1].saes)


def test_kill_9_at_a_random_step_loses_at_most_the_interval(
    whole: list[TrainUpdate], tmp_path: Path
) -> None:
    victim = random.SystemRandom().randrange(2, STEPS)  # another one each time, whatever is seeded
    command = [sys.executable, "-m", "tests.models.interrupted", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        reached = 0
        while reached < victim:
            reached = int(child.stdout.readline())
        child.kill()

    resumed = list(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))

    begun = resumed[0].steps[0].step
    sys.stdout.write(f"killed when step {reached} was told, resumed at {begun}\n")  # if it fails
    assert begun > reached - EVERY
    assert begun >= EVERY or reached < EVERY
    assert_same(resumed[-1].saes, whole[-1].saes)


def test_one_whole_checkpoint_is_kept_and_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-000000002.tmp").mkdir()
    (tmp_path / ".step-000000002.tmp" / "sae-0.safetensors").write_bytes(b"half")
    stopped(tmp_path, 9)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000009"]


def test_a_finished_training_yields_its_saes_again(
    whole: list[TrainUpdate], tmp_path: Path
) -> None:
    list(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))
    (again,) = train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY))
    assert again.steps == whole[-1].steps
    assert_same(again.saes, whole[-1].saes)


def test_a_training_on_a_language_model_goes_on_bit_for_bit(
    lm: LanguageModel, windows, tmp_path: Path
) -> None:
    def served() -> ActivationStream:
        return ActivationStream(lm, 1, windows, batch=32, tokens=320, seed=3)

    configs = [
        (SAEConfig(32, 48, "abstopk", 4), TrainConfig(tokens=320, batch=32, start_tokens=64))
    ]
    *_, expected = train(configs, served())
    asked = iter(range(1, 11))
    list(train(configs, served(), Checkpoints(tmp_path, 100), lambda: next(asked) == 4))
    *_, resumed = train(configs, served(), Checkpoints(tmp_path, 100))
    assert_same(resumed.saes, expected.saes)


@pytest.mark.parametrize("file", ["rank-0.safetensors", "sae-1.safetensors", "checkpoint.json"])
def test_a_full_disk_stops_with_advice_and_the_last_checkpoint_stays_usable(
    whole: list[TrainUpdate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    room = artifact.write_atomically

    def full(path: Path, write) -> None:
        if path.name == file and "000000008" in path.parent.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        room(path, write)

    monkeypatch.setattr(artifact, "write_atomically", full)
    with pytest.raises(OSError, match=r"step 8 cannot.*No space left.*step 4 is whole: free some"):
        list(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))
    monkeypatch.undo()

    assert [path.name for path in tmp_path.iterdir()] == ["step-000000004"]
    *_, resumed = train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY))
    assert_same(resumed.saes, whole[-1].saes)


def test_not_a_number_stops_with_advice_and_the_last_checkpoint_stays_usable(
    whole: list[TrainUpdate], tmp_path: Path
) -> None:
    broken = stream()
    broken.batches[9] = broken.batches[9]._replace(activations=torch.full((64, 16), torch.nan))
    with pytest.raises(FloatingPointError, match=r"SAE 1 of 2 \(batchabstopk\).*step 8 is whole"):
        list(train(CONFIGS, broken, Checkpoints(tmp_path, EVERY)))
    *_, resumed = train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY))
    assert_same(resumed.saes, whole[-1].saes)


@pytest.mark.parametrize("after", [9, STEPS])
def test_a_training_goes_on_only_on_the_kind_of_device_it_began_on(
    tmp_path: Path, after: int
) -> None:
    stopped(tmp_path, after)
    (folder,) = tmp_path.iterdir()
    document = json.loads((folder / "checkpoint.json").read_text())
    assert document["device"] == "cpu"
    (folder / "checkpoint.json").write_text(json.dumps(document | {"device": "mps"}))
    with pytest.raises(ValueError, match="began on mps, but this is cpu: resume on the device"):
        next(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))


def test_a_training_that_cannot_start_closes_its_stream() -> None:
    class Closing(ListStream):
        is_closed = False

        def __iter__(self):
            try:
                yield from super().__iter__()
            finally:
                self.is_closed = True

    source = Closing(
        [batch._replace(activations=batch.activations * 0) for batch in stream().batches]
    )
    with pytest.raises(ValueError, match="all zero") as failed:
        next(train(CONFIGS, source))
    assert source.is_closed
    assert failed.value.__traceback__ is not None, "held, so that nothing was merely collected"


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    stopped(tmp_path, 1)
    (sae, recipe), second = CONFIGS
    with pytest.raises(ValueError, match=r"lr = 0.01 for SAE 1, but 0.5"):
        next(train([(sae, replace(recipe, lr=0.5)), second], stream(), Checkpoints(tmp_path, 4)))
    with pytest.raises(ValueError, match="2 SAEs, but 1"):
        next(train(CONFIGS[:1], stream(), Checkpoints(tmp_path, 4)))


@pytest.mark.parametrize(("part", "field"), [("sae", "prefixes"), ("train", "decay")])
def test_a_checkpoint_from_before_a_setting_had_its_default(
    tmp_path: Path, part: str, field: str
) -> None:
    stopped(tmp_path, 1)
    path = tmp_path / "step-000000001" / "checkpoint.json"
    document = json.loads(path.read_text())
    for sae in document["saes"]:
        del sae[part][field]
    path.write_text(json.dumps(document))
    first = next(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))
    assert first.steps[0].step == 1


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    stopped(tmp_path, 1)
    path = tmp_path / "step-000000001" / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"world": 3}))
    with pytest.raises(ValueError, match="written by 3 processes, but here are 1"):
        next(train(CONFIGS, stream(), Checkpoints(tmp_path, EVERY)))


def test_checkpoints_need_a_stream_that_can_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state\(\) and restore\(\)"):
        next(train(CONFIGS, stream().batches, Checkpoints(tmp_path, EVERY)))
