"""A strip of coloured tokens as HTML: the one piece drawn too often to leave to a template.

Knows the markup of a token and escapes everything it is given; nothing of where values come from.
A page shows thousands of these, and a macro call for each took most of its time.
"""

from collections.abc import Iterable
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
    text = escape(part.text)
    if part.special:
        return f'<span class="tok special">{text}</span>'
    extreme = " extreme" if part.is_extreme else ""
    if not part.value:
        return f'<span class="tok{extreme}">{text}</span>'
    return (
        f'<span class="tok {part.css}{extreme}" data-value="{signed(part.value)}">{text}'
        f'<span class="sr"> ({spoken(part.value)}) </span></span>'
    )
