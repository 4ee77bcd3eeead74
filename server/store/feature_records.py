"""One feature as a page shows it: two mirrored poles, a histogram, neighbours, contexts.

Knows how stored columns become these records; no query. Everything of the − pole is signed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from server.store.encoding import decode_activations
from server.store.example_lists import StoredExample

POLES = ("+", "-")


class TokenLogit(NamedTuple):
    """How much one token's logit changes per unit of the pole's direction."""

    token: str
    logit: float


class Neighbour(NamedTuple):
    """Another feature, by the cosine of the decoder rows; `label` is empty if it has none."""

    feature: int
    cosine: float
    label: str


@dataclass(frozen=True)
class Neighbours:
    """The features most aligned with this one, and most opposed to it."""

    aligned: tuple[Neighbour, ...]
    opposed: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Histogram:
    """Counts of non-zero activations between n + 1 ascending edges; `zeros` are counted apart."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    zeros: int
    tokens: int


@dataclass(frozen=True)
class ContextRecord:
    """A stretch of text: exact token strings, one signed activation each.

    `position` is the index in `tokens` of the pole's extreme token, `value` its activation, `mean`
    the mean over the whole window, `start` the place of `tokens[0]` in the document.
    """

    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    activations: tuple[float, ...]
    position: int
    value: float
    mean: float
    document: int
    seq: int
    start: int


@dataclass(frozen=True)
class PoleRecord:
    """One side of a feature; `promoted` of one pole is `suppressed` of the other, negated.

    `samples`: contexts drawn from each interval of activations, by the number of the interval.
    `turns`: contexts in which the sign changes to that of this pole, at `position`.
    """

    pole: str
    label: str
    firings: int
    density: float
    sum: float
    max: float
    quantile_999: float
    promoted: tuple[TokenLogit, ...]
    suppressed: tuple[TokenLogit, ...]
    contexts: tuple[ContextRecord, ...]
    contexts_by_mean: tuple[ContextRecord, ...]
    samples: Mapping[int, tuple[ContextRecord, ...]]
    turns: tuple[ContextRecord, ...]


@dataclass(frozen=True)
class FeatureRecord:
    """One feature of a published index; `poles` has the keys "+" and "-".

    `details` are all facts the indexer wrote, in its own shape.
    """

    sae_id: int
    index_id: int
    feature: int
    label: str
    tokens: int
    pole_balance: float | None
    opposition: float | None
    consistency: float | None
    null_summary: dict[str, Any] | None
    histogram: Histogram | None
    neighbours: Neighbours
    details: Mapping[str, Any]
    poles: Mapping[str, PoleRecord]


def read_histogram(details: Mapping[str, Any]) -> Histogram | None:
    """The histogram in a feature's details, if it has one."""
    stored = details.get("histogram")
    if stored is None:
        return None
    return Histogram(
        edges=tuple(stored["edges"]),
        counts=tuple(stored["counts"]),
        zeros=stored["zeros"],
        tokens=stored["tokens"],
    )


def read_logits(details: Mapping[str, Any], pole: str) -> tuple[tuple[TokenLogit, ...], ...]:
    """(promoted, suppressed) of one pole; stored for +, exactly negated for −."""
    promoted, suppressed = details.get("promoted", ()), details.get("suppressed", ())
    if pole == "+":
        return (
            tuple(TokenLogit(*pair) for pair in promoted),
            tuple(TokenLogit(*pair) for pair in suppressed),
        )
    # The + 0.0 turns -0.0, which JSON would show, into 0.0.
    return (
        tuple(TokenLogit(token, -logit + 0.0) for token, logit in suppressed),
        tuple(TokenLogit(token, -logit + 0.0) for token, logit in promoted),
    )


def read_context(
    example: StoredExample,
    token_ids: Sequence[int],
    vocabulary: Sequence[str],
    document: int,
    start: int,
    radius: int | None,
) -> ContextRecord:
    """The context of an example, cut to `radius` tokens on either side of its extreme token.

    A token id the vocabulary does not have becomes "<id>".
    """
    activations = decode_activations(example.activations, len(token_ids))
    if activations[example.position]:
        # Stored exactly; the rest is rounded.
        activations[example.position] = example.value
    begin = 0 if radius is None else max(0, example.position - radius)
    end = len(token_ids) if radius is None else example.position + radius + 1
    shown = tuple(token_ids[begin:end])
    return ContextRecord(
        tokens=_strings(shown, vocabulary),
        token_ids=shown,
        activations=tuple(activations[begin:end]),
        position=example.position - begin,
        value=example.value,
        mean=example.mean,
        document=document,
        seq=example.seq,
        start=start + begin,
    )


def _strings(token_ids: Sequence[int], vocabulary: Sequence[str]) -> tuple[str, ...]:
    known = len(vocabulary)
    if len(token_ids) > 1 and max(token_ids) < known:
        return itemgetter(*token_ids)(vocabulary)  # twice as quick as one by one
    return tuple(vocabulary[each] if each < known else f"<{each}>" for each in token_ids)
