"""The message that asks for a Difference-in-Mean axis to be kept: a direction to browse and steer by.

Knows no torch, no database and no page. Same rules as `server.protocol`.
"""

from pydantic import Field, model_validator

from server.protocol.base import Count, Message
from server.protocol.concepts import CONTRASTS, FEWEST_TEXTS, MOST_TEXTS, Texts
from server.protocol.names import Name


class AxisRequest(Message):
    """Make an axis from two lists of texts, or from a built-in contrast; index it and map it.

    The first half of each list makes the direction, the second half scores it. A pole without a
    label is called by the words of its contexts, as any feature's; those of a contrast by its sides.
    """

    name: Name
    model: str = "demo"
    layer: int | None = Field(default=None, ge=0)
    """Residual stream after this block, counted from 0; None takes the middle one."""
    contrast: str | None = Field(default=None, max_length=100)
    plus: Texts = Field(default_factory=list)
    minus: Texts = Field(default_factory=list)
    plus_label: str | None = Field(default=None, max_length=100)
    minus_label: str | None = Field(default=None, max_length=100)
    text: str | None = None
    """What to index on; None: the text that an SAE of this model was indexed on, best of this layer."""
    tokens: Count | None = None
    """Index no more than so many tokens of a text that is named."""

    @model_validator(mode="after")
    def _contrast_or_lists(self) -> "AxisRequest":
        if (self.contrast is None) == (not self.plus and not self.minus):
            raise ValueError(
                "give a contrast by name, or two lists, plus and minus: one of the two"
            )
        if self.contrast is None:
            self._check_lists()
        elif self.contrast not in CONTRASTS:
            raise ValueError(
                f"no built-in contrast {self.contrast!r}: there are {', '.join(CONTRASTS)}"
            )
        if self.tokens is not None and self.text is None:
            raise ValueError("tokens limits a text that is named: give text, or leave tokens out")
        return self

    def _check_lists(self) -> None:
        for name, texts in (("plus", self.plus), ("minus", self.minus)):
            if len(texts) < FEWEST_TEXTS:
                raise ValueError(
                    f"the list {name} has {len(texts)} texts, but {FEWEST_TEXTS} to {MOST_TEXTS} "
                    "are needed: half of them make the axis, the others score it"
                )
        if set(self.plus) == set(self.minus):
            raise ValueError("both lists hold the same texts: an axis needs two that differ")
