"""Texts that are no plain file, on their way into the database and back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.texts import pin_source
from models.windows import Windows
from server.store.corpora import get_corpus, get_sequences
from server.store.saes import SaeRecord, get_sae
from server.store.session import Database
from server.worker.library import enter_model, open_corpus
from server.worker.task_index import usual_text
from tests.builders import World
from tests.models.tiny import TEXTS, tiny_lm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set as a folder of JSONL whose column is called `story`."""
    found = tmp_path / "stories"
    found.mkdir()
    lines = (json.dumps({"story": text}) + "\n" for text in TEXTS)
    (found / "train.jsonl").write_text("".join(lines))
    return found


def test_a_data_set_is_a_corpus_of_its_own_with_its_policies(
    sqlite_database: Database, folder: Path
) -> None:
    lm = tiny_lm()
    source = pin_source(f"hf:{folder}#story")
    model_id = enter_model(sqlite_database, lm, "tiny")
    whole = open_corpus(sqlite_database, lm, model_id, source)
    again = open_corpus(sqlite_database, lm, model_id, f"hf:{folder}#story")
    part = open_corpus(sqlite_database, lm, model_id, source, 30)

    with sqlite_database.read() as session:
        record = get_corpus(session, whole.id)
        cut = get_corpus(session, part.id)
    assert record is not None
    assert cut is not None
    assert {window.document for window in whole.windows} == set(range(len(TEXTS)))
    assert record.packing is not None
    assert "no window holds two documents" in record.packing
    assert "BOS" in record.bos_policy
    assert again.id == whole.id != part.id
    assert cut.name.endswith("first 30 tokens")
    assert 30 <= cut.tokens < record.tokens


def test_windows_that_are_not_those_stored_are_a_corpus_of_their_own(
    sqlite_database: Database, folder: Path
) -> None:
    """The text, its model and the vocabulary are the same; the tokenizer parts words otherwise."""
    lm, text = tiny_lm(), folder / "train.jsonl"
    model_id = enter_model(sqlite_database, lm, "tiny")
    source = f"{text}#story"
    before = open_corpus(sqlite_database, lm, model_id, source)
    read = list(before.windows)
    other = Windows.gather([replace(read[0], tokens=read[0].tokens[::-1].copy()), *read[1:]])
    after = open_corpus(sqlite_database, lm, model_id, source, windows=other)
    again = open_corpus(sqlite_database, lm, model_id, source)

    with sqlite_database.read() as session:
        stored = get_sequences(session, after.id, [0])[0].token_ids
        kept = get_sequences(session, before.id, [0])[0].token_ids
    assert again.id == before.id != after.id
    assert again.fingerprint == before.fingerprint != after.fingerprint
    assert (kept, stored) == (read[0].tokens.tolist(), other[0].tokens.tolist())


def test_the_text_of_a_training_is_found_again(
    sqlite_database: Database, sqlite_world: World, tmp_path: Path
) -> None:
    with sqlite_database.read() as session:
        sae = get_sae(session, sqlite_world.abstopk)
    assert sae is not None
    table = tmp_path / "a.parquet"
    table.write_bytes(b"")

    def of(text: str) -> Path | str:
        record: SaeRecord = replace(sae, is_demo=False, config={"text": text})
        return usual_text(record)

    assert of(f"{table}#story") == Path(f"{table}#story")
    assert of("hf:a/b:test#story") == "hf:a/b:test#story"
    with pytest.raises(ValueError, match="not here any more"):
        of(str(tmp_path / "gone.txt"))
