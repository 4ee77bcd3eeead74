"""How much of a text a run reads, and what its reader should know of what was read.

Knows nothing of how a text is read.
"""

from pathlib import Path
from typing import Any

from models.hub_texts import is_hub
from server.protocol import TrainRequest
from server.worker.library import Corpus
from server.worker.progress import Progress

USUAL_TOKENS: int = TrainRequest.model_fields["tokens"].default
FEW_WINDOWS = 8
"""A text of one document and no more windows than that may well be meant so."""


def text_limit(text: Path | str, tokens: int) -> int | None:
    """How much of a text a training of `tokens` reads: a file whole, of a data set a quarter more.

    A tenth is held out, and a data set may hold more than a disk.
    """
    return tokens + tokens // 4 if is_hub(text) else None


def usual_limit(text: Path | str, asked: int | None) -> int | None:
    """The limit that holds because none is asked for: of a data set, what a usual training reads.

    None where one is asked for, and for files, which are read whole.
    """
    return None if asked is not None else text_limit(text, USUAL_TOKENS)


def say_limit(usual: int) -> Progress:
    """What a run says before it reads so much of a data set and no more."""
    return Progress(
        0, 1, f"reading {usual:,} tokens of the data set; --tokens N reads more or less"
    )


def finish(corpus: Corpus, message: str, result: dict[str, Any], usual: int | None) -> Progress:
    """The last step of a run over a corpus, with a `warning` in its result where one is due.

    `usual` is the limit that nobody asked for.
    """
    warnings = [
        said for said in (_say_one_document(corpus), _say_cut(corpus, usual)) if said is not None
    ]
    if warnings:
        message = f"{message}, with a warning"
        result = {**result, "warning": "; ".join(warnings)}
    return Progress(corpus.tokens, corpus.tokens, message, result)


def _say_one_document(corpus: Corpus) -> str | None:
    windows = corpus.windows
    if len(windows) <= FEW_WINDOWS or windows[0].document != windows[-1].document:
        return None
    return (
        f"the text is one document of {len(windows):,} windows, so at most one example per pole is "
        "kept: separate documents by blank lines"
    )


def _say_cut(corpus: Corpus, usual: int | None) -> str | None:
    if usual is None or corpus.tokens < usual:
        return None
    return f"the first {usual:,} tokens of the data set were read: --tokens N reads more or less"
