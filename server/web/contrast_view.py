"""Two texts against each other, as rows of a page: which features change sign.

Knows the protocol's messages; no HTML and no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from frontend.filters import ladder, visible
from server.protocol import MAX_ENDS, ContrastFeature, ContrastRequest, ContrastResponse
from server.web.strips import Part

Mode = Literal["pair", "ends"]
SHOWN = 20


@dataclass(frozen=True)
class ContrastQuery:
    """What was asked: in mode `ends` each line of `a` and `b` is a text of its own."""

    sae: int
    mode: Mode
    a: str
    b: str

    @property
    def is_complete(self) -> bool:
        """Whether both sides have a text."""
        return bool(self.a.strip() and self.b.strip())

    def address(self, path: str, **changes: str) -> str:
        """The address of this question, with some changes."""
        return f"{path}?{urlencode({**vars(self), **changes})}"

    def swapped(self) -> str:
        """The address with A and B exchanged."""
        return self.address("/contrast", a=self.b, b=self.a)

    def request(self, limit: int = SHOWN) -> ContrastRequest:
        """The message to the worker. Raises ValueError on more lines than it reads."""
        sides = [self.a, self.b]
        if self.mode == "pair":
            texts = [[side] for side in sides]
        else:
            texts = [[line for line in side.splitlines() if line.strip()] for side in sides]
        if max(map(len, texts)) > MAX_ENDS:
            raise ValueError(
                f"a side has {max(map(len, texts))} lines, but at most {MAX_ENDS} are read: leave some out"
            )
        return ContrastRequest(sae=self.sae, mode=self.mode, a=texts[0], b=texts[1], limit=limit)


@dataclass(frozen=True)
class ContrastRow:
    """One feature: both means, and both texts coloured by it on one scale."""

    feature: int
    label: str
    url: str
    mean_a: float
    mean_b: float
    score: float
    strip_a: Sequence[Part]
    strip_b: Sequence[Part]


@dataclass(frozen=True)
class ContrastResult:
    """The rows whose sign flips, and those that change without flipping."""

    flipped: Sequence[ContrastRow]
    changed: Sequence[ContrastRow]
    is_same: bool
    swap_url: str


def contrast_result(
    query: ContrastQuery, answer: ContrastResponse, labels: Mapping[int, str]
) -> ContrastResult:
    """The page's rows, in the order of the answer."""

    def row(entry: ContrastFeature) -> ContrastRow:
        scale = max(map(abs, (*entry.activations_a, *entry.activations_b)), default=0.0)
        return ContrastRow(
            feature=entry.feature,
            label=labels.get(entry.feature, ""),
            url=f"/sae/{answer.sae}/feature/{entry.feature}",
            mean_a=entry.mean_a,
            mean_b=entry.mean_b,
            score=entry.score,
            strip_a=_strip(answer.tokens_a, entry.activations_a, scale),
            strip_b=_strip(answer.tokens_b, entry.activations_b, scale),
        )

    return ContrastResult(
        flipped=[row(entry) for entry in answer.flipped],
        changed=[row(entry) for entry in answer.changed],
        is_same=not answer.flipped and not answer.changed,
        swap_url=query.swapped(),
    )


def _strip(tokens: Sequence[str], activations: Sequence[float], scale: float) -> list[Part]:
    """All tokens but the first, which the model puts before every text."""
    return [
        Part(visible(token), value, ladder(value, scale))
        for token, value in list(zip(tokens, activations, strict=True))[1:]
    ]
