"""Token strips: which parts a context is drawn from, and which class each part has.

Knows the JSON of a context; no HTML. Tokens at exactly zero are merged into runs of plain text,
which keeps a page with eighty contexts small; the JSON has every token. For the same reason the
whole text of a context is plain unless it is asked for: a script colours it when it is opened.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from frontend.filters import ladder, largest, visible

NEAR = 20
"""Tokens on either side of the extreme one that the one-line view may need."""


class Part(NamedTuple):
    """A token with a value, a special token, or a run of tokens at zero."""

    text: str
    value: float
    css: str
    special: bool = False
    is_extreme: bool = False


@dataclass(frozen=True)
class ContextView:
    """One context: one line around its extreme token, and the whole of it.

    Unless `is_whole`, the values of `parts` are left out, not zero.
    """

    left: Sequence[Part]
    extreme: Part
    right: Sequence[Part]
    parts: Sequence[Part]
    is_whole: bool
    value: float
    before: float | None
    """The activation of the token ahead; None where the context begins."""
    mean: float
    tokens: int
    document: int


def context_view(
    context: dict[str, Any], special_ids: Collection[int], is_whole: bool = False
) -> ContextView:
    """What is drawn of one context; its colours are relative to its own largest magnitude."""
    position, length = context["position"], len(context["tokens"])
    scale = largest(context["activations"])

    def draw(begin: int, end: int) -> list[Part]:
        return list(_parts(context, range(begin, end), scale, special_ids))

    return ContextView(
        left=draw(max(0, position - NEAR), position),
        extreme=draw(position, position + 1)[0],
        right=draw(position + 1, min(length, position + 1 + NEAR)),
        parts=draw(0, length) if is_whole else _plain(context["tokens"], position),
        is_whole=is_whole,
        value=context["value"],
        before=context["activations"][position - 1] if position else None,
        mean=context["mean"],
        tokens=length,
        document=context["document"],
    )


def _plain(tokens: Sequence[str], position: int) -> list[Part]:
    """The text without its values: before the extreme token, that token, after it."""
    before, after = tokens[:position], tokens[position + 1 :]
    return [
        Part("".join(map(visible, before)), 0.0, "pos-0"),
        Part(visible(tokens[position]), 0.0, "pos-0", is_extreme=True),
        Part("".join(map(visible, after)), 0.0, "pos-0"),
    ]


def _parts(
    context: dict[str, Any], places: range, scale: float, special_ids: Collection[int]
) -> Iterator[Part]:
    tokens, token_ids, activations = (
        context[name] for name in ("tokens", "token_ids", "activations")
    )
    run: list[str] = []
    for place in places:
        value, text = activations[place], visible(tokens[place])
        is_special, is_extreme = token_ids[place] in special_ids, place == context["position"]
        if value == 0 and not is_special and not is_extreme:
            run.append(text)
            continue
        if run:
            yield Part("".join(run), 0.0, "pos-0")
            run = []
        yield Part(text, value, ladder(value, scale), is_special, is_extreme)
    if run:
        yield Part("".join(run), 0.0, "pos-0")
