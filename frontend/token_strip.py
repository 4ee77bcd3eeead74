"""A strip of coloured tokens as HTML: the one piece drawn too often to leave to a template.

Knows the markup of a token and escapes everything it is given; nothing of where values come from.
A page shows thousands of these, and a macro call for each took most of its time.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from markupsafe import Markup, escape

from frontend.filters import signed, spoken


class Part(Protocol):
    """A token with a value, a special token, or a run of tokens at zero; its text is visible."""

    @property
    def text(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def css(self) -> str: ...
    @property
    def special(self) -> bool: ...
    @property
    def is_extreme(self) -> bool: ...


def token_strip(parts: Iterable[Part]) -> Markup:
    """Tokens one after another; each with a value carries it as text, in words and as a colour."""
    return Markup("".join(_token(part) for part in parts))


def _token(part: Part) -> str:
    value = part.value
    extreme = " extreme" if part.is_extreme else ""
    if part.special:
        return f'<span class="tok special">{escape(part.text)!s}</span>'
    if not value:
        return f'<span class="tok{extreme}">{escape(part.text)!s}</span>'
    return (
        f'<span class="tok {part.css}{extreme}" data-value="{signed(value)}">{_escaped(part.text)}'
        f'<span class="sr"> ({spoken(value)}) </span></span>'
    )


@lru_cache(maxsize=1 << 14)
def _escaped(token: str) -> str:
    """Remembered, unlike runs of text: the same tokens come again and again."""
    return str(escape(token))
