"""Documents as windows of tokens: the ground that training and index share.

A window never crosses a document; every window starts with BOS where the tokenizer has one.
Where documents come from is in `texts`. Knows nothing of SAEs or databases.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.hub_texts import is_hub, pin
from models.language_model import LanguageModel
from models.texts import COLUMN, is_table, read_documents, split_column

__all__ = [
    "Window",
    "batch_windows",
    "bos_policy",
    "fingerprint",
    "make_windows",
    "packing_policy",
    "pad",
    "read_documents",
    "take_tokens",
]

CONTEXT = 256
BOS_POLICY = "BOS at position 0 of every window; it is neither trained on nor indexed"
NO_BOS_POLICY = "no BOS: the tokenizer has none; position 0 is an attention sink, neither trained on nor indexed"
PACKING_POLICY = (
    "documents are kept apart: each is cut into windows of up to {context} tokens, the last one as "
    "long as what is left, and no window holds two documents"
)
TOKENIZED_TOGETHER = 256
READING_VERSION = 1
"""Of how a text becomes documents and these become windows: raised with every change of either."""


@dataclass(frozen=True)
class Window:
    """Up to `context` tokens of one document; `start` is where its text tokens begin in the document."""

    document: int
    start: int
    tokens: np.ndarray


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


def packing_policy(lm: LanguageModel, context: int = CONTEXT) -> str:
    """How documents become windows, in words for a page."""
    return PACKING_POLICY.format(context=min(context, lm.context))


def bos_policy(lm: LanguageModel) -> str:
    """What stands at position 0, in words for a page."""
    return NO_BOS_POLICY if lm.bos_token_id is None else BOS_POLICY


def fingerprint(lm: LanguageModel, source: Path | str, context: int = CONTEXT) -> str:
    """What identifies a corpus for one model: its text, how it is read, the vocabulary, the window size.

    The text is a file's bytes, or a data set's name, config, split and commit, and the column that is
    read. A limit of tokens, and what the tokenizer makes of the text, are the caller's to add. Raises ValueError as `hub_texts.pin` does.
    """
    place, column = split_column(source)
    digest = hashlib.sha256()
    identity: list[object] = [READING_VERSION, context, lm.bos_token_id, lm.vocabulary]
    if is_hub(place):
        digest.update(str(pin(place)).encode())
    else:
        with Path(place).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    if is_table(place):  # the same bytes are other documents when they are read as plain text
        identity += ["table", column or COLUMN]
    digest.update(json.dumps(identity).encode())
    return digest.hexdigest()


def _grouped(items: Iterable[str], size: int) -> Iterator[list[str]]:
    group: list[str] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
