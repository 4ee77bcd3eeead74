"""Pure filters from numbers, signs and tokens to text and class names.

Knows no page and no HTML: every filter returns a plain string, which the template escapes. The
minus sign is U+2212 everywhere, so that it is as wide as the plus sign and never a hyphen.
"""

import math
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

LADDER = 10
MINUS = "\u2212"
EMPTY = "\u2013"

_VISIBLE = {"\n": "↵", "\r": "␍", "\t": "⇥"}


def signed(value: float | None, digits: int = 2) -> str:
    """A number that always shows its sign: `+3.20`, `−3.20`, and plain `0` for zero.

    What is not zero but rounds to it is `0.00`: a sign before it would say more than is shown.
    """
    if value is None or not math.isfinite(value):
        return EMPTY
    if value == 0:
        return "0"
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else MINUS}{text}"


def number(value: float | None, digits: int = 3) -> str:
    """A number of at most `digits` decimals without trailing zeros; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return EMPTY
    text = f"{abs(value):,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{MINUS}{text}" if value < 0 and text != "0" else text


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with exactly `digits` decimals, as one kind of figure has everywhere; or a dash."""
    if value is None or not math.isfinite(value):
        return EMPTY
    text = f"{abs(value):,.{digits}f}"
    return f"{MINUS}{text}" if value < 0 and text.strip("0.") else text


def count(value: int | float | None) -> str:
    """A whole number with thousands separated: `1,024`."""
    return EMPTY if value is None else f"{round(value):,}"


def short_count(value: int | float | None) -> str:
    """A whole number in at most four characters: `950`, `12.3k`, `4.1M`."""
    if value is None:
        return EMPTY
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if scaled >= 100 else f"{scaled:.1f}{unit}"
    return count(value)


def percent(value: float | None, digits: int = 1) -> str:
    """A share of 1 as a percentage, with one more digit where it would read 0.0 %."""
    if value is None or not math.isfinite(value):
        return EMPTY
    if value == 0:
        return "0 %"
    share = value * 100
    if abs(share) < 10**-digits:
        floor = 10 ** -(digits + 2)
        return f"< {floor:.{digits + 2}f} %" if abs(share) < floor else f"{share:.{digits + 2}f} %"
    return f"{share:.{digits}f} %"


def spoken(value: float | None, digits: int = 2) -> str:
    """A signed number as a screen reader should say it: `minus 3.2`."""
    text = f"{abs(value or 0):.{digits}f}"
    if value is None or float(text) == 0:
        return "zero"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{'plus' if value > 0 else 'minus'} {text}"


def ladder(value: float, scale: float) -> str:
    """The colour class of an activation: `pos-0` … `pos-10`, `neg-1` … `neg-10`.

    Step 0 is transparent and means exactly zero; any other value is at least step 1.
    """
    if value == 0 or scale <= 0:
        return "pos-0"
    step = min(LADDER, max(1, math.ceil(LADDER * abs(value) / scale - 1e-9)))
    return f"{'pos' if value > 0 else 'neg'}-{step}"


def largest(values: Sequence[float]) -> float:
    """The largest magnitude, the symmetric scale of a diverging colour; 0 for no values."""
    return max(max(values), -min(values)) if values else 0.0


def pole_glyph(pole: str) -> str:
    """The sign of a pole as it is written on the page."""
    return "+" if pole == "+" else MINUS


def pole_class(pole: str) -> str:
    """The CSS class of a pole."""
    return "pos" if pole == "+" else "neg"


ARROW = " ↔ "


def pole_name(label: str, extreme: float) -> str:
    """A pole by its label; a pole without one says whether it never fires or is just unnamed."""
    return label or ("unlabelled" if extreme else "never fires")


def axis_name(label: str, minus: str, plus: str) -> str:
    """The name of a whole axis, such as `gender`, if it is more than its poles' labels."""
    return "" if ARROW in label or label in (minus, plus) else label


@lru_cache(maxsize=1 << 16)
def visible(token: str) -> str:
    """A token with its invisible characters made visible; the exact string stays in the JSON.

    A leading space is left as it is, because most tokens of a text begin with one; a token that is
    nothing but spaces shows them as middle dots. Remembered: a page shows twenty thousand tokens,
    most of them the same few.
    """
    if token.isprintable() and not token.isspace():
        return token
    if token and not token.strip(" "):
        return "·" * len(token)
    return "".join(_visible_character(character) for character in token)


def _visible_character(character: str) -> str:
    if character in _VISIBLE:
        return _VISIBLE[character]
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in ("Cf", "Cc", "Cs", "Zl", "Zp"):
        return f"⟨U+{code:04X}⟩"
    return character


SPARSIFIERS = {
    "abstopk": "AbsTopK",
    "topk": "TopK",
    "batchtopk": "BatchTopK",
    "batchabstopk": "BatchAbsTopK",
    "relu": "ReLU",
    "soft_threshold": "soft threshold",
    "jumprelu": "JumpReLU",
    "hard_threshold": "hard threshold",
    "vsae": "vSAE",
    "dim": "Difference-in-Mean",
}


def sparsifier_name(sparsifier: str) -> str:
    """A sparsifier as its paper writes it."""
    return SPARSIFIERS.get(sparsifier, sparsifier)


FILTERS = {
    "signed": signed,
    "number": number,
    "fixed": fixed,
    "count": count,
    "short_count": short_count,
    "percent": percent,
    "spoken": spoken,
    "ladder": ladder,
    "largest": largest,
    "pole_glyph": pole_glyph,
    "pole_class": pole_class,
    "pole_name": pole_name,
    "visible": visible,
    "sparsifier_name": sparsifier_name,
}
