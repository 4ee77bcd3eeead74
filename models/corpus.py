"""Text as documents, documents as windows of tokens: the ground that training and index share.

A window never crosses a document; every window starts with BOS where the tokenizer has one.
Knows nothing of SAEs or databases.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.language_model import LanguageModel

END_OF_TEXT = "<|endoftext|>"
CONTEXT = 256
BOS_POLICY = "BOS at position 0 of every window; it is neither trained on nor indexed"
NO_BOS_POLICY = "no BOS: the tokenizer has none; position 0 is an attention sink, neither trained on nor indexed"
TOKENIZED_TOGETHER = 256


@dataclass(frozen=True)
class Window:
    """Up to `context` tokens of one document; `start` is where its text tokens begin in the document."""

    document: int
    start: int
    tokens: np.ndarray


def read_documents(path: Path) -> Iterator[str]:
    """The documents of a .txt, .txt.gz or .jsonl file, one after the other, empty ones left out.

    In text, documents end with a line `<|endoftext|>` if the file has any, else at blank lines;
    in JSONL each line is an object with a `text`. Raises ValueError on empty or binary files.
    """
    if not path.is_file():
        raise ValueError(f"no text file {path}: check the path")
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            found = (
                _jsonl(file, path)
                if path.name.removesuffix(".gz").endswith(".jsonl")
                else _plain(file)
            )
            empty = True
            for document in found:
                empty = False
                yield document
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error}): give a .txt, .txt.gz or .jsonl file"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}): check its permissions"
        ) from error
    if empty:
        raise ValueError(f"{path} holds no text: give a file with at least one document")


def make_windows(
    lm: LanguageModel, documents: Iterable[str], context: int = CONTEXT
) -> Iterator[Window]:
    """Tokenise documents and cut them into windows of at most `context` tokens, BOS included."""
    context = min(context, lm.context)
    bos = [] if lm.bos_token_id is None else [lm.bos_token_id]
    room = context - len(bos)
    number = 0
    for texts in _grouped(documents, TOKENIZED_TOGETHER):
        for ids in lm.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
            for start in range(0, len(ids), room):
                tokens = np.array(bos + ids[start : start + room], dtype=np.int32)
                if len(tokens) > 1:
                    yield Window(number, start, tokens)
            number += 1


def take_tokens(windows: Iterable[Window], limit: int | None) -> Iterator[Window]:
    """Windows until `limit` tokens are reached (the last one whole); None takes all."""
    taken = 0
    for window in windows:
        if limit is not None and taken >= limit:
            return
        taken += len(window.tokens)
        yield window


def batch_windows(windows: Sequence[Window], tokens_per_batch: int) -> Iterator[list[int]]:
    """Positions in `windows`, in batches of similar length so that little is padded."""
    order = sorted(range(len(windows)), key=lambda index: len(windows[index].tokens))
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * len(windows[index].tokens) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad(windows: Sequence[Window], fill: int = 0) -> np.ndarray:
    """Right-padded token ids, int64 [windows, longest]."""
    longest = max(len(window.tokens) for window in windows)
    padded = np.full((len(windows), longest), fill, dtype=np.int64)
    for row, window in zip(padded, windows, strict=True):
        row[: len(window.tokens)] = window.tokens
    return padded


def fingerprint(lm: LanguageModel, path: Path, context: int = CONTEXT) -> str:
    """What identifies a corpus for one model: its bytes, the vocabulary and the window size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    digest.update(json.dumps([context, lm.bos_token_id, lm.vocabulary]).encode())
    return digest.hexdigest()


def _plain(file: Iterable[str]) -> Iterator[str]:
    """Documents by end-of-text lines; a file without any is cut at blank lines."""
    lines: list[str] = []
    marked = False
    for line in file:
        if line.strip() == END_OF_TEXT:
            marked = True
            if text := "".join(lines).strip():
                yield text
            lines = []
        else:
            lines.append(line)
    rest = "".join(lines).strip()
    pieces = (
        [rest] if marked else [piece.strip() for piece in rest.replace("\r\n", "\n").split("\n\n")]
    )
    yield from (piece for piece in pieces if piece)


def _jsonl(file: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{path} line {number} is not an object with a "text": mend or drop that line'
            ) from error
        if isinstance(text, str) and text.strip():
            yield text


def _grouped(items: Iterable[str], size: int) -> Iterator[list[str]]:
    group: list[str] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
