"""Documents, windows and their limits."""

import gzip

import numpy as np
import pytest

from models.corpus import batch_windows, fingerprint, make_windows, pad, read_documents, take_tokens
from models.language_model import LanguageModel


def test_documents_end_at_marks_or_at_blank_lines(tmp_path) -> None:
    marked, blank = tmp_path / "marked.txt", tmp_path / "blank.txt"
    marked.write_text("One.\n\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n\n<|endoftext|>\n")
    blank.write_text("One.\nStill one.\n\n\nTwo.\n")
    assert list(read_documents(marked)) == ["One.\n\nStill one.", "Two."]
    assert list(read_documents(blank)) == ["One.\nStill one.", "Two."]


def test_jsonl_and_gzip_are_read(tmp_path) -> None:
    lines, zipped = tmp_path / "a.jsonl", tmp_path / "b.txt.gz"
    lines.write_text('{"text": "One."}\n\n{"text": ""}\n{"text": "Two.\\n\\nTwo."}\n')
    zipped.write_bytes(gzip.compress(b"One.\n\nTwo."))
    assert list(read_documents(lines)) == ["One.", "Two.\n\nTwo."]
    assert list(read_documents(zipped)) == ["One.", "Two."]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.txt", b"", "holds no text"),
        ("blank.txt", b" \n\n \n", "holds no text"),
        ("binary.txt", b"\x89PNG\xff\xfe\x00\x01" * 50, "not UTF-8 text"),
        ("fake.txt.gz", b"not gzip at all", "not UTF-8 text"),
        ("bad.jsonl", b'{"no": 1}\n', "line 1"),
    ],
)
def test_useless_files_are_refused_with_a_sentence(
    tmp_path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        list(read_documents(path))
    with pytest.raises(ValueError, match="no text file"):
        list(read_documents(tmp_path / "absent.txt"))


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


def test_the_fingerprint_changes_with_the_text(tmp_path, lm: LanguageModel) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One.")
    first = fingerprint(lm, path)
    assert fingerprint(lm, path) == first
    path.write_text("Two.")
    assert fingerprint(lm, path) != first
