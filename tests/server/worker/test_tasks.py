"""The whole path on a tiny model: train, index, map, prompt, steer — and what bad input leaves behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.corpus import make_windows, read_documents
from models.generate import generate
from models.language_model import LanguageModel
from server.protocol import (
    Edit,
    IndexRequest,
    MapRequest,
    PromptRequest,
    SteerEnd,
    SteerRequest,
    SteerToken,
    TrainRequest,
)
from server.settings import Settings
from server.store.feature_table import list_features
from server.store.features import get_feature
from server.store.maps import get_map
from server.store.migrate import migrate
from server.store.saes import get_sae, list_saes
from server.store.session import Database
from server.worker.handlers import read_prompt
from server.worker.library import open_sae, require_sae
from server.worker.progress import TaskContext
from server.worker.shelf import Shelf
from server.worker.steering import SteerJob
from server.worker.tasks import TASKS
from tests.models.tiny import TEXTS, save_tiny_lm

STORIES = "\n<|endoftext|>\n".join(f"{a} {b} {c}" for a in TEXTS for b in TEXTS for c in TEXTS[:2])


@dataclass(frozen=True)
class Trained:
    context: TaskContext
    lm: LanguageModel
    folder: Path
    text: Path
    name: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A tiny SAE trained through the task, on SQLite."""
    folder = tmp_path_factory.mktemp("trained")
    model = save_tiny_lm(folder / "model")
    text = folder / "text.txt"
    text.write_text(STORIES)
    settings = Settings.read({}, data_dir=folder / "data")
    migrate(settings.database_url)
    database = Database(settings.database_url)
    context = TaskContext(settings, database)
    request = TrainRequest(
        model=str(model), layer=1, text=str(text), width=64, k=6, tokens=6_000, name="tiny"
    )
    *_, last = TASKS["train"][1](context, request)
    assert last.result is not None
    assert last.result["name"] == "tiny"
    yield Trained(context, LanguageModel.load(str(model)), model, text, "tiny")
    database.dispose()


def test_a_trained_sae_is_in_the_library_measured_and_mapped(trained: Trained) -> None:
    with trained.context.database.read() as session:
        (summary,) = list_saes(session)
        record = get_sae(session, "tiny")
        assert record is not None
        layout = get_map(session, record)
    assert (summary.state, summary.sparsifier, summary.layer, summary.width, summary.k) == (
        "ready",
        "abstopk",
        1,
        64,
        6,
    )
    assert summary.nmse is not None
    assert 0 < summary.nmse < 1.5
    assert summary.two_sided is not None
    assert summary.two_sided > 0.2
    assert layout is not None
    assert len(layout.features) == len(layout.coordinates)


@pytest.mark.parametrize("by_mean", [False, True])
def test_stored_contexts_equal_a_brute_force_pass(trained: Trained, by_mean: bool) -> None:
    """Up to 64 features, both poles: values to 1e-4, positions exact, the tokens those of the text."""
    windows = list(make_windows(trained.lm, read_documents(trained.text)))
    with trained.context.database.read() as session:
        record = get_sae(session, "tiny")
        assert record is not None
        sae = open_sae(trained.context.settings, record)
        codes = []
        for window in windows:
            ids = torch.from_numpy(window.tokens[None].astype(np.int64))
            code = sae.encode(trained.lm.residual(ids, 1)[0]).numpy()
            code[0] = 0
            codes.append(code)
        checked = 0
        for feature in range(64):
            found = get_feature(session, record, feature)
            assert found is not None
            for pole, sign in (("+", 1), ("-", -1)):
                contexts = (
                    found.poles[pole].contexts_by_mean if by_mean else found.poles[pole].contexts
                )
                best: dict[int, float] = {}
                for window, code in zip(windows, codes, strict=True):
                    column = sign * code[1:, feature]
                    score = float(column.mean() if by_mean else column.max())
                    if score > 0:
                        best[window.document] = max(best.get(window.document, 0.0), score)
                expected = sorted(best.values(), reverse=True)[:20]
                got = [sign * (context.mean if by_mean else context.value) for context in contexts]
                assert_allclose(got, expected, atol=1e-4)
                for context in contexts:
                    window, code = windows[context.seq], codes[context.seq][:, feature]
                    assert list(context.token_ids) == window.tokens.tolist()
                    assert list(context.tokens) == [
                        trained.lm.vocabulary[token] for token in window.tokens
                    ]
                    assert_allclose(context.activations, code, atol=1e-4)
                    assert_allclose(context.value, code[context.position], atol=1e-4)
                    assert sign * context.value == pytest.approx(
                        float((sign * code[1:]).max()), abs=1e-4
                    )
                    checked += 1
    assert checked > 200


def test_the_stored_minus_pole_mirrors_the_plus_pole_in_logits(trained: Trained) -> None:
    with trained.context.database.read() as session:
        record = get_sae(session, "tiny")
        assert record is not None
        found = get_feature(session, record, 3)
    assert found is not None
    plus, minus = found.poles["+"], found.poles["-"]
    assert [(item.token, -item.logit) for item in plus.promoted] == [
        (i.token, i.logit) for i in minus.suppressed
    ]
    assert [(item.token, -item.logit) for item in plus.suppressed] == [
        (i.token, i.logit) for i in minus.promoted
    ]


def test_opposition_is_stored_with_its_null(trained: Trained) -> None:
    with trained.context.database.read() as session:
        record = get_sae(session, "tiny")
        assert record is not None
        page = list_features(session, record, sort="opposition", descending=True)
        found = get_feature(session, record, page.rows[0].feature)
    assert page.rows[0].opposition is not None
    assert found is not None
    assert found.null_summary is not None
    assert found.null_summary["draws"] == 64
    assert len(found.null_summary["percentiles"]) == 99


def test_indexing_again_swaps_the_index_and_mapping_again_the_map(trained: Trained) -> None:
    before = require_sae(trained.context.database, "tiny")
    *_, last = TASKS["index"][1](trained.context, IndexRequest(saes=["tiny"], tokens=300))
    assert last.result is not None
    assert last.result["tokens"] < 600
    *_, mapped = TASKS["map"][1](trained.context, MapRequest(sae="tiny", metric="directed"))
    after = require_sae(trained.context.database, "tiny")
    assert after.published_index_id != before.published_index_id
    assert mapped.result is not None
    assert after.published_map_id == mapped.result["map"]


def test_a_prompt_gives_the_signed_codes_of_its_tokens(trained: Trained) -> None:
    shelf = Shelf(trained.context.settings, trained.context.database, "cpu")
    text = "The boy saw a red ball."
    answer = read_prompt(shelf, PromptRequest(sae="tiny", text=text, limit=10, features=[7]))
    ids = trained.lm.tokenize(text)
    assert answer.token_ids == ids
    assert answer.special == [True] + [False] * (len(ids) - 1)
    sae = open_sae(trained.context.settings, require_sae(trained.context.database, "tiny"))
    code = sae.encode(trained.lm.residual(torch.tensor([ids]), 1)[0])
    code[0] = 0
    assert answer.features[0].feature == 7
    for item in answer.features:
        assert_allclose(item.activations, code[:, item.feature], atol=1e-5)
    sizes = [max(abs(item.max), abs(item.min)) for item in answer.features[1:]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 10
    assert any(item.min < 0 for item in answer.features)


@pytest.mark.parametrize("rank", ["+", "-", "sum_abs"])
def test_prompt_ranks_follow_their_side(trained: Trained, rank: str) -> None:
    shelf = Shelf(trained.context.settings, trained.context.database, "cpu")
    answer = read_prompt(shelf, PromptRequest(sae="tiny", text=TEXTS[0], rank=rank, limit=8))  # type: ignore[arg-type]
    key = {"+": lambda f: f.max, "-": lambda f: -f.min, "sum_abs": lambda f: f.sum_abs}[rank]
    values = [key(item) for item in answer.features]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def write(shelf: Shelf, request: SteerRequest) -> list[SteerToken | SteerEnd]:
    job = SteerJob(shelf, request)
    return [event for token in generate(job.lm, job.rows) for event in job.events(token)]


def test_steering_streams_each_token_once_and_zero_is_the_plain_text(trained: Trained) -> None:
    shelf = Shelf(trained.context.settings, trained.context.database, "cpu")
    model = require_sae(trained.context.database, "tiny").model
    plain = SteerRequest(model=model, prompt="The boy", max_new_tokens=12, seed=3)
    edited = SteerRequest(
        model=model,
        prompt="The boy",
        edits=[Edit(sae="tiny", feature=5)],
        strengths=[-80.0, 0.0, 80.0],
        max_new_tokens=12,
        seed=3,
    )
    events, alone = write(shelf, edited), write(shelf, plain)
    ends = {event.row: event for event in events if not isinstance(event, SteerToken)}
    assert ends[1].text == alone[-1].text  # type: ignore[union-attr]
    assert len({end.text for end in ends.values()}) > 1
    for row, end in ends.items():
        tokens = [event for event in events if isinstance(event, SteerToken) and event.row == row]
        assert [token.index for token in tokens] == list(range(len(tokens)))
        assert "".join(token.text for token in tokens) == end.text
        assert end.strength == (-80.0, 0.0, 80.0)[row]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "no/such-model"}, "no model"),
        ({"layer": 7}, "layers 0 to 2"),
        ({"k": 100}, "larger than width 64"),
        ({"text": "absent.txt"}, "no text file"),
        ({"name": "tiny"}, "already"),
        ({"name": "../x"}, "cannot be a folder"),
    ],
)
def test_bad_requests_end_in_a_sentence_and_leave_nothing(
    trained: Trained, changes: dict, words: str
) -> None:
    options = {
        "model": str(trained.folder),
        "layer": 1,
        "text": str(trained.text),
        "width": 64,
        "k": 6,
        "tokens": 500,
    }
    before = sorted((trained.context.settings.data_dir / "saes").iterdir())
    with pytest.raises(ValueError, match=words):
        list(TASKS["train"][1](trained.context, TrainRequest(**(options | changes))))
    with trained.context.database.read() as session:
        assert len(list_saes(session)) == 1
    assert sorted((trained.context.settings.data_dir / "saes").iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe" * 99, b"one single document"])
def test_useless_texts_end_in_a_sentence(trained: Trained, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    request = TrainRequest(
        model=str(trained.folder), layer=1, text=str(path), width=64, k=6, tokens=500
    )
    with pytest.raises(ValueError, match="text"):
        list(TASKS["train"][1](trained.context, request))


def test_prompts_that_do_not_fit_are_refused_with_numbers(trained: Trained) -> None:
    shelf = Shelf(trained.context.settings, trained.context.database, "cpu")
    with pytest.raises(ValueError, match="at most 128"):
        read_prompt(shelf, PromptRequest(sae="tiny", text="ball " * 400))
    with pytest.raises(ValueError, match="features 0 to 63"):
        read_prompt(shelf, PromptRequest(sae="tiny", text="ball", features=[64]))
    with pytest.raises(ValueError, match="no SAE"):
        read_prompt(shelf, PromptRequest(sae="absent", text="ball"))
