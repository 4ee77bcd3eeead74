"""The running batch: rows that come and go equal their single runs; edits equal plain arithmetic."""

import pytest
import torch
from torch.testing import assert_close

from models.generate import Edit, GenerationBatch, Row, apply_edit, generate
from models.generate.batch import choose_tokens
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from tests.models.tiny import tiny_lm

FAMILIES = ["gpt_neox", "gpt2", "gpt_neo", "llama", "gemma2", "gemma3", "qwen2", "qwen3"]
PROMPTS = [
    "Once upon a time there was a girl",
    "The boy saw a big dog",
    "It was a cold day and the little bird was sad, but she sang",
    "A king",
]


def make_sae(seed: int = 1, d_in: int = 32) -> SparseAutoencoder:
    sae = SparseAutoencoder(SAEConfig(d_in, 40, "abstopk", 6, input_scale=0.5))
    sae.initialise(torch.Generator().manual_seed(seed))
    return sae.eval().requires_grad_(False)


def make_row(lm: LanguageModel, number: int, sae: SparseAutoencoder) -> Row:
    """Rows of unlike prompts, operations, places, lengths, seeds and temperatures."""
    edits = [
        (),
        (Edit(sae, 1, 3, "add", 20.0),),
        (Edit(sae, 1, 4, "clamp", -15.0), Edit(sae, 2, 5, "add", 9.0)),
        (Edit(sae, 0, 6, "scale", -1.0, pole="+"),),
        (Edit(sae, 1, 7, "project", 12.0),),
    ][number % 5]
    return Row(
        lm.tokenize(PROMPTS[number % 4]),
        edits,
        max_new_tokens=6 + number % 7,
        seed=number,
        temperature=(0.0, 0.8, 1.3)[number % 3],
        positions=("all", "generated", "last")[number // 2 % 3],
    )


def alone(lm: LanguageModel, number: int, sae: SparseAutoencoder) -> list[int]:
    return [token.token_id for token in generate(lm, [make_row(lm, number, sae)])]


def write_one_by_one(lm: LanguageModel, rows: list[Row]) -> None:
    """Write all rows in one batch that each of them joins a step after the one before."""
    batch, waiting = GenerationBatch(lm), list(rows)
    while waiting or batch.rows:
        if waiting:
            batch.admit([waiting.pop(0)])
        batch.step()


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_join_and_leave_a_running_batch_equal_their_single_runs(family: str) -> None:
    lm, sae = tiny_lm(family), make_sae()
    rows = [make_row(lm, number, sae) for number in range(10)]
    write_one_by_one(lm, rows)
    assert [row.written for row in rows] == [alone(lm, number, sae) for number in range(10)]


def test_rows_of_one_prompt_join_together_and_equal_their_single_runs(lm: LanguageModel) -> None:
    sae, prompt = make_sae(), lm.tokenize(PROMPTS[0])
    strengths = (-60.0, -5.0, 0.0, 5.0, 60.0)
    rows = [Row(prompt, [Edit(sae, 1, 3, "add", c)], 12, temperature=0.9) for c in strengths]
    list(generate(lm, rows))
    for strength, row in zip(strengths, rows, strict=True):
        single = Row(prompt, [Edit(sae, 1, 3, "add", strength)], 12, temperature=0.9)
        list(generate(lm, [single]))
        assert row.written == single.written
    assert len({tuple(row.written) for row in rows}) > 1, "strong strengths must change the text"


def test_a_removed_row_writes_no_more_and_leaves_the_others_as_they_are(lm: LanguageModel) -> None:
    sae = make_sae()
    rows = [make_row(lm, number, sae) for number in (2, 5, 7)]
    batch = GenerationBatch(lm)
    for row in rows:
        batch.admit([row])
    batch.step()
    batch.remove([rows[1]])
    written = len(rows[1].written)
    while batch.rows:
        assert rows[1] not in batch.rows
        batch.step()
    assert len(rows[1].written) == written
    assert rows[0].written == alone(lm, 2, sae)
    assert rows[2].written == alone(lm, 7, sae)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_neutral_edits_are_exactly_the_unsteered_text(family: str, temperature: float) -> None:
    lm, sae = tiny_lm(family), make_sae()
    prompt = lm.tokenize(PROMPTS[0])
    texts = []
    for edits in ((), (Edit(sae, 1, 3, "add", 0.0),), (Edit(sae, 1, 3, "scale", 1.0),)):
        texts.append(list(generate(lm, [Row(prompt, edits, 12, temperature=temperature)])))
    assert len({tuple(token.token_id for token in text) for text in texts}) == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("operation", ["add", "clamp", "scale", "project"])
def test_each_operation_equals_a_plain_hook(family: str, operation: str) -> None:
    """Greedy, without cache or batch: the whole text through the model again at every token."""
    lm, sae = tiny_lm(family), make_sae()
    d, s, c = sae.W_dec[3], sae.config.input_scale, -7.0

    def formula(hidden: torch.Tensor) -> torch.Tensor:
        h = hidden[:, 1:]
        z = sae.encode(h[0].float())[:, 3:4].to(h)
        changed = {
            "add": h + c * d / s,
            "clamp": h + (c - z) * d / s,
            "scale": h + (c - 1) * z * d / s,
            "project": h - (h @ d)[..., None] * d + c * d / s,
        }[operation]
        return torch.cat([hidden[:, :1], changed], dim=1)

    ids = lm.tokenize(PROMPTS[1])
    start = len(ids)
    with torch.inference_mode(), lm.intervene({1: formula}):
        for _ in range(8):
            ids.append(int(lm.model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == 0:
                break
    row = Row(ids[:start], [Edit(sae, 1, 3, operation, c)], 8, temperature=0.0)  # type: ignore[arg-type]
    list(generate(lm, [row]))
    assert row.written == ids[start:]


@pytest.mark.parametrize("pole", ["+", "-"])
def test_scaling_one_pole_leaves_the_other_alone(pole: str) -> None:
    sae, hidden = make_sae(), torch.randn(1, 60, 32, generator=torch.Generator().manual_seed(0))
    z = sae.encode(hidden[0])[:, 3]
    edited = apply_edit(hidden, Edit(sae, 0, 3, "scale", 0.0, pole=pole))  # type: ignore[arg-type]
    moved = (edited != hidden).any(-1)[0]
    assert torch.equal(moved, z > 0 if pole == "+" else z < 0)
    assert moved.any()


@pytest.mark.parametrize(("positions", "first"), [("all", 1), ("last", -1), ("generated", None)])
def test_edits_begin_where_they_are_asked_to(
    lm: LanguageModel, positions: str, first: int | None
) -> None:
    sae, prompt = make_sae(), lm.tokenize(PROMPTS[0])
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    original = lm.intervene
    lm.intervene = lambda edits: original(  # type: ignore[method-assign]
        {n: lambda h, f=f: seen.append((h, f(h))) or seen[-1][1] for n, f in edits.items()}
    )
    try:
        list(generate(lm, [Row(prompt, [Edit(sae, 1, 3, "add", 4.0)], 3, positions=positions)]))  # type: ignore[arg-type]
    finally:
        del lm.intervene
    before, after = seen[0]
    moved = (before != after).any(-1)[0].nonzero().flatten().tolist()
    assert moved == ([] if first is None else list(range(len(prompt)))[first:])
    assert all((before != after).any(-1).all() for before, after in seen[1:])


def test_bos_alone_is_never_edited(lm: LanguageModel) -> None:
    prompt, sae = [lm.bos_token_id or 0], make_sae()
    edits = [Edit(sae, 1, 3, "add", 40.0)]
    rows = [
        Row(prompt, edits, 6, positions=positions) for positions in ("all", "last", "generated")
    ]
    for row in rows:
        list(generate(lm, [row]))
    assert rows[0].written == rows[1].written == rows[2].written


def test_two_edits_at_two_layers_both_act(lm: LanguageModel) -> None:
    sae, prompt = make_sae(), lm.tokenize(PROMPTS[0])
    texts = []
    one, two = Edit(sae, 0, 3, "add", 25.0), Edit(sae, 2, 9, "add", -25.0)
    for edits in ((one,), (two,), (one, two)):
        row = Row(prompt, edits, 12, temperature=3.0)
        list(generate(lm, [row]))
        texts.append(tuple(row.written))
    assert len(set(texts)) == 3


def test_a_seed_draws_the_same_whatever_else_is_written(lm: LanguageModel) -> None:
    prompt = lm.tokenize(PROMPTS[0])
    first, again, other = (Row(prompt, (), 12, seed=seed, temperature=1.5) for seed in (4, 4, 5))
    list(generate(lm, [first]))
    list(generate(lm, [other, again]))
    assert first.written == again.written
    assert first.written != other.written


def test_drawing_follows_the_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    draws = [place / 3000 for place in range(3000)]
    chosen = choose_tokens(logits.repeat(3000, 1), [1.0] * 3000, draws)
    shares = torch.bincount(torch.tensor(chosen), minlength=3) / 3000
    assert_close(shares, logits[0].softmax(0), atol=1e-3, rtol=0)


def test_too_long_a_text_is_refused_with_both_numbers(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="at most 128"):
        GenerationBatch(lm).admit([Row(list(range(1, 120)), (), 50)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature": 40}, "0 to 39"),
        ({"operation": "push"}, "choose one of add"),
        ({"pole": "+"}, "only scale"),
    ],
)
def test_an_impossible_edit_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Edit(
            **{
                "sae": make_sae(),
                "layer": 0,
                "feature": 1,
                "operation": "add",
                "strength": 1.0,
                **options,
            }
        )  # type: ignore[arg-type]


def test_projection_sets_the_coordinate_along_a_row_of_any_length() -> None:
    sae, hidden = make_sae(), torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        sae.W_dec[3] *= 3.0
    edited = apply_edit(hidden, Edit(sae, 0, 3, "project", 4.0))
    coordinate = edited @ sae.W_dec[3] / sae.W_dec[3].square().sum()
    assert_close(coordinate, torch.full((1, 5), 4.0 / sae.config.input_scale), atol=1e-4, rtol=1e-4)
