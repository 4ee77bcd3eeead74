"""Keeping an axis through the run: two lists become a feature with poles, contexts and a slider."""

from pathlib import Path

import pytest
import torch

from models.concepts.probe import difference_in_mean, probe, read_texts
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from server.protocol import IndexRequest
from server.protocol.axis import AxisRequest
from server.store.corpora import corpus_of_index
from server.store.features import get_feature
from server.store.maps import get_map
from server.store.saes import SaeRecord, get_sae
from server.worker.library import open_sae
from server.worker.progress import TaskContext
from server.worker.tasks import TASKS
from tests.models.tiny import TEXTS

PLUS = [f"The {noun} was hot and red." for noun in ("ball", "dog", "sun", "cat", "day")] * 2
MINUS = [f"The {noun} was cold and sad." for noun in ("ball", "dog", "sun", "cat", "day")] * 2
LISTS: dict[str, object] = {"plus": PLUS, "minus": MINUS, "layer": 1}


def run(context: TaskContext, **request: object) -> dict[str, object]:
    *_, last = TASKS["axis"][1](context, AxisRequest(**request))  # type: ignore[arg-type]
    assert last.result is not None
    return last.result


def entered(context: TaskContext, name: str) -> SaeRecord:
    with context.database.read() as session:
        record = get_sae(session, name)
    assert record is not None
    return record


def test_an_axis_has_poles_contexts_and_a_place_on_a_map(
    context: TaskContext, model: Path, text: Path
) -> None:
    result = run(context, **LISTS, model=str(model), text=str(text), name="heat", plus_label="hot")
    record = entered(context, "heat")
    with context.database.read() as session:
        feature, layout = get_feature(session, record, 0), get_map(session, record)
    assert (record.sparsifier, record.d_sae, record.layer) == ("dim", 1, 1)
    assert (result["sae"], result["feature"], result["held_out_texts"]) == (record.id, 0, 10)
    assert record.config["axes"][0]["auc"] == result["auc"]
    assert layout is not None
    assert layout.items == 1
    assert feature is not None
    minus, plus = feature.poles["-"], feature.poles["+"]
    assert plus.label == "hot"
    assert minus.label not in ("", "hot"), "a pole without a label has its words"
    assert min(len(minus.contexts), len(plus.contexts)) > 0
    assert minus.max < 0 < plus.max
    assert feature.opposition is None, "one axis has no strangers to be compared with"


def test_the_kept_direction_is_that_of_the_train_texts_with_plus_positive(
    context: TaskContext, model: Path, text: Path
) -> None:
    run(context, **LISTS, model=str(model), text=str(text), name="heat")
    sae = open_sae(context.settings, entered(context, "heat"))
    lm = LanguageModel.load(str(model))

    def mean(texts: list[str]) -> torch.Tensor:
        hidden = [lm.residual(torch.tensor([lm.tokenize(one)]), 1)[0, 1:].mean(0) for one in texts]
        return torch.stack(hidden).mean(0).detach()

    expected = torch.nn.functional.normalize(mean(PLUS[:5]) - mean(MINUS[:5]), dim=0)
    torch.testing.assert_close(sae.W_dec[0], expected, atol=1e-4, rtol=1e-3)


def test_the_direction_is_the_one_that_the_concept_page_scores(model: Path) -> None:
    lm = LanguageModel.load(str(model))
    sae = SparseAutoencoder(SAEConfig(32, 24, "abstopk", k=4))
    sae.initialise(torch.Generator().manual_seed(0))
    shown = probe(read_texts(lm, sae.eval(), 1, PLUS, MINUS), is_signed=True).dim
    kept = difference_in_mean(read_texts(lm, None, 1, PLUS, MINUS))
    torch.testing.assert_close(kept.direction, shown.direction)
    assert kept.auc == shown.auc


def test_sides_that_do_not_differ_are_refused(model: Path) -> None:
    texts = read_texts(LanguageModel.load(str(model)), None, 1, PLUS, PLUS)
    with pytest.raises(ValueError, match="give two lists that differ"):
        difference_in_mean(texts)


def test_without_a_text_it_is_indexed_on_that_of_its_layer_which_need_not_be_there(
    context: TaskContext, model: Path, text: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text(TEXTS[0] * 3)
    shared = {"model": str(model), "contrast": "gender"}
    run(context, **shared, layer=1, text=str(text), name="first")
    run(context, **shared, layer=2, text=str(tmp_path / "other.txt"), name="elsewhere")
    text.unlink()
    run(context, **shared, layer=1, name="second")
    records = [entered(context, name) for name in ("first", "second", "elsewhere")]
    with context.database.read() as session:
        corpora = [corpus_of_index(session, record.published_index_id) for record in records]
        features = [get_feature(session, record, 0) for record in records[:2]]
    assert corpora[0] == corpora[1] != corpora[2]
    assert features[0].histogram == features[1].histogram
    assert features[1].label == "male ↔ female"


def test_an_axis_can_be_indexed_once_more(context: TaskContext, model: Path, text: Path) -> None:
    run(
        context, **LISTS, model=str(model), text=str(text), tokens=60, name="heat", plus_label="hot"
    )
    first = entered(context, "heat").published_index_id
    with context.database.read() as session:
        corpus = corpus_of_index(session, first)
    for _ in TASKS["index"][1](context, IndexRequest(saes=["heat"])):
        pass
    record = entered(context, "heat")
    assert record.published_index_id != first
    with context.database.read() as session:
        assert corpus_of_index(session, record.published_index_id) == corpus
        assert get_feature(session, record, 0).poles["+"].label == "hot"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"layer": 9}, "layer 9 is out of range"),
        ({"name": "a/b"}, "cannot be a folder"),
        ({"name": "taken"}, "there is an SAE named 'taken' already"),
        ({"text": None}, "no SAE of .* has been indexed"),
        ({"text": "/nowhere.txt"}, "no text file /nowhere.txt"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    context: TaskContext, model: Path, text: Path, change: dict[str, object], sentence: str
) -> None:
    asked = {**LISTS, "model": str(model), "text": str(text), "name": "heat"}
    if change == {"name": "taken"}:
        run(context, **{**asked, **change})
    with pytest.raises(ValueError, match=sentence):
        run(context, **{**asked, **change})
    with context.database.read() as session:
        assert get_sae(session, "heat") is None
    folders = context.settings.data_dir / "saes"
    assert [path.name for path in folders.glob("*")] in ([], ["taken"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"plus": PLUS[:3]}, "the list plus has 3 texts, but 8 to 400"),
        ({"minus": []}, "the list minus has 0 texts"),
        ({"minus": PLUS[::-1]}, "both lists hold the same texts"),
        ({"contrast": "gender"}, "one of the two"),
        ({"contrast": "colour", "plus": [], "minus": []}, "no built-in contrast 'colour'"),
        ({"plus": [], "minus": []}, "one of the two"),
        ({"tokens": 5}, "give text"),
        ({"name": ""}, "name"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AxisRequest(**{**LISTS, "name": "heat", **change})  # type: ignore[arg-type]
