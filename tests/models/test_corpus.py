"""Windows and their limits."""

from pathlib import Path

import numpy as np
import pytest

from models.corpus import (
    READING_VERSION,
    batch_windows,
    fingerprint,
    make_windows,
    pad,
    take_tokens,
)
from models.language_model import LanguageModel


def test_windows_keep_documents_apart_and_lose_no_token(lm: LanguageModel) -> None:
    texts = ["The girl had a red ball. " * 9, "Tom.", "He ran home to his mother. " * 4]
    windows = list(make_windows(lm, texts, context=16))
    assert all(
        window.tokens[0] == lm.bos_token_id and len(window.tokens) <= 16 for window in windows
    )
    for number, text in enumerate(texts):
        parts = [window for window in windows if window.document == number]
        assert np.concatenate([part.tokens[1:] for part in parts]).tolist() == lm.tokenize(text)[1:]
        assert [part.start for part in parts] == [15 * place for place in range(len(parts))]


def test_batches_hold_every_window_once_and_stay_within_their_size(windows) -> None:
    batches = list(batch_windows(windows, 200))
    assert sorted(index for batch in batches for index in batch) == list(range(len(windows)))
    for batch in batches:
        chosen = pad([windows[index] for index in batch])
        assert chosen.size <= 200


def test_take_tokens_stops_behind_the_limit(windows) -> None:
    taken = list(take_tokens(windows, 100))
    total = sum(len(window.tokens) for window in taken)
    assert total >= 100
    assert total - len(taken[-1].tokens) < 100


def test_the_fingerprint_changes_with_the_text_and_with_how_it_is_read(
    tmp_path: Path, lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One.")
    first = fingerprint(lm, path)
    assert fingerprint(lm, path) == first
    path.write_text("Two.")
    second = fingerprint(lm, path)
    assert second != first
    monkeypatch.setattr("models.corpus.READING_VERSION", READING_VERSION + 1)
    assert fingerprint(lm, path) not in (first, second)
