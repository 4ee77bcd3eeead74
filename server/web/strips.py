"""Token strips: which parts a context is drawn from, and which class each part has.

Knows the JSON of a context; no HTML. Tokens at exactly zero are merged into runs of plain text,
which keeps a page with eighty contexts small; the JSON has every token.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from frontend.filters import ladder, largest, visible

NEAR = 28
"""Tokens on either side of the extreme one that the one-line view may need."""


@dataclass(frozen=True)
class Part:
    """A token with a value, a special token, or a run of tokens at zero."""

    text: str
    value: float
    css: str
    special: bool = False
    is_extreme: bool = False


@dataclass(frozen=True)
class ContextView:
    """One context: one line around its extreme token, and the whole of it."""

    left: Sequence[Part]
    extreme: Part
    right: Sequence[Part]
    parts: Sequence[Part]
    value: float
    mean: float
    tokens: int
    document: int


def context_view(context: dict[str, Any], special_ids: Collection[int]) -> ContextView:
    """What is drawn of one context; its colours are relative to its own largest magnitude."""
    parts = list(_parts(context, special_ids))
    position = context["position"]
    return ContextView(
        left=list(_merge(parts[max(0, position - NEAR) : position])),
        extreme=parts[position],
        right=list(_merge(parts[position + 1 : position + 1 + NEAR])),
        parts=list(_merge(parts)),
        value=context["value"],
        mean=context["mean"],
        tokens=len(parts),
        document=context["document"],
    )


def _parts(context: dict[str, Any], special_ids: Collection[int]) -> Iterator[Part]:
    scale = largest(context["activations"])
    rows = zip(context["tokens"], context["token_ids"], context["activations"], strict=True)
    for place, (token, token_id, value) in enumerate(rows):
        yield Part(
            text=visible(token),
            value=value,
            css=ladder(value, scale),
            special=token_id in special_ids,
            is_extreme=place == context["position"],
        )


def _merge(parts: Iterable[Part]) -> Iterator[Part]:
    run: list[str] = []
    for part in parts:
        if part.value == 0 and not part.special and not part.is_extreme:
            run.append(part.text)
            continue
        if run:
            yield Part("".join(run), 0.0, "pos-0")
            run = []
        yield part
    if run:
        yield Part("".join(run), 0.0, "pos-0")
