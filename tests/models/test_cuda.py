"""On a CUDA device the same comes out as on the CPU: trained weights, the index, steered text."""

import pytest
import torch
from torch import Tensor

from models.generate import Edit, Row, generate
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.train import Start, TrainConfig, Training
from tests.models import dense, test_index
from tests.models.small_sae import LEARNS_FROM_ROWS, SIGNED, make_config
from tests.models.test_generate import FAMILIES, alone, make_row, make_sae, write_one_by_one
from tests.models.tiny import tiny_lm
from tests.models.training_data import Batch, planted

STEPS, ROWS = 40, 128


@pytest.fixture(autouse=True)
def device() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda"


pytestmark = pytest.mark.gpu


def tiny_on(device: str, family: str = "gpt_neox") -> LanguageModel:
    lm = tiny_lm(family)
    return LanguageModel(lm.model.to(device), lm.tokenizer, lm.name)


def batches(device: str, signed: bool, width: int) -> list[Batch]:
    x = planted(STEPS * ROWS, signed)[0][:, :width].to(device)
    tokens = torch.arange(len(x), device=device) % 7
    return [Batch(*pair) for pair in zip(x.split(ROWS), tokens.split(ROWS), strict=True)]


def begin(config: SAEConfig, read: list[Batch]) -> Training:
    recipe = TrainConfig(tokens=STEPS * ROWS, batch=ROWS, lr=1e-2, dead_after=1_000)
    return Training.begin(config, recipe, Start.of(read[:2]))


def state(training: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in training.state().items()}


@pytest.mark.parametrize("kind", LEARNS_FROM_ROWS)
def test_a_training_repeats_bit_for_bit_and_learns_as_on_the_cpu(device: str, kind: str) -> None:
    config = make_config(kind)
    read = batches(device, kind in SIGNED, config.d_in)
    once, again = begin(config, read), begin(config, read)
    errors = [once.take_step(batch).nmse for batch in read]
    assert [again.take_step(batch).nmse for batch in read] == errors
    for name, tensor in state(once).items():
        assert torch.equal(tensor, again.state()[name]), name

    plain = batches("cpu", kind in SIGNED, config.d_in)
    there = begin(config, plain)
    expected = [there.take_step(batch).nmse for batch in plain]
    assert errors[-1] == pytest.approx(expected[-1], rel=0.2 if kind == "vsae" else 0.03)


def test_a_training_goes_on_bit_for_bit_from_its_state(device: str) -> None:
    config = make_config("abstopk")
    read = batches(device, True, config.d_in)
    whole, first, second = (begin(config, read) for _ in range(3))
    for batch in read[:15]:
        first.take_step(batch)
    second.restore(state(first), first.step)
    for batch in read:
        whole.take_step(batch)
    for batch in read[15:]:
        second.take_step(batch)
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, second.state()[name]), name


@pytest.mark.parametrize("kind", ["abstopk", "topk", "dim", "soft_threshold", "vsae"])
def test_the_index_equals_a_brute_force_pass_on_the_cpu(device: str, kind: str, windows) -> None:
    codes = dense.dense_codes(tiny_lm(), dense.make_sae(kind), windows)
    case = dense.indexed(tiny_on(device), dense.make_sae(kind).to(device), windows), codes
    for order in ("extreme", "mean"):
        for pole in "+-":
            test_index.test_examples_equal_a_brute_force_pass(case, windows, order, pole)
    test_index.test_statistics_equal_a_brute_force_pass(case, windows)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_running_batch_equal_their_single_runs(device: str, family: str) -> None:
    lm, sae = tiny_on(device, family), make_sae().to(device)
    rows = [make_row(lm, number, sae) for number in range(10)]
    write_one_by_one(lm, rows)
    assert [row.written for row in rows] == [alone(lm, number, sae) for number in range(10)]


def test_strength_0_is_the_unsteered_text_and_others_are_not(device: str) -> None:
    lm, sae = tiny_on(device), make_sae().to(device)
    prompt = lm.tokenize("Once upon a time there was a girl")
    edits = [(), *((Edit(sae, 1, 3, "add", c),) for c in (0.0, 60.0, -60.0))]
    rows = [Row(prompt, each, 12, temperature=0.9) for each in edits]
    list(generate(lm, rows))
    assert rows[0].written == rows[1].written
    assert len({tuple(row.written) for row in rows}) == 3
