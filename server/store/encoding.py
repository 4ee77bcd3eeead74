"""How values are written into columns: text, JSON, tokens, sparse activations, time.

Knows bytes and strings, no table and no session. Everything here reads back exactly what was
written, on both databases, except `clean_text`, whose losses are named in its docstring.
"""

import json
import math
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

LARGEST_ID = 2**31 - 1
_TOKEN_FORMATS = {2: "H", 4: "I"}


def now() -> str:
    """This moment in UTC as ISO 8601 text, which sorts by time on both databases."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def clean_text(value: str) -> str:
    """Text that both databases accept: NUL becomes ␀ and a lone surrogate U+FFFD.

    For names and labels, which are read by people. Tokens must stay exact and go through
    `dump_json` instead.
    """
    if value.isascii() and "\x00" not in value:
        return value
    paired = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return paired.replace("\x00", "\u2400")


class CleanText(TypeDecorator[str]):
    """A Text column whose values, and the values compared with it, pass through `clean_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


def dump_json(value: Any) -> str:
    """JSON in pure ASCII, so that any string survives: NUL, control characters, lone surrogates.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def load_json(text: str) -> Any:
    """What `dump_json` was given."""
    return json.loads(text)


def encode_tokens(token_ids: Sequence[int], token_bytes: int) -> bytes:
    """Token ids as little-endian unsigned integers of 2 or 4 bytes."""
    return struct.pack(f"<{len(token_ids)}{_TOKEN_FORMATS[token_bytes]}", *token_ids)


def decode_tokens(blob: bytes, token_bytes: int) -> list[int]:
    """Token ids from what `encode_tokens` wrote."""
    return list(struct.unpack(f"<{len(blob) // token_bytes}{_TOKEN_FORMATS[token_bytes]}", blob))


def encode_activations(pairs: Iterable[tuple[int, float]]) -> bytes:
    """The non-zero activations of one window as repeated little-endian (uint16 offset, float32)."""
    return b"".join(struct.pack("<Hf", offset, value) for offset, value in pairs)


def decode_activations(blob: bytes, length: int) -> list[float]:
    """One signed activation per token of a window of `length` tokens; 0 where nothing is stored."""
    activations = [0.0] * length
    for offset, value in struct.iter_unpack("<Hf", blob):
        activations[offset] = value
    return activations


def encode_numbers(values: Sequence[float], letter: str) -> bytes:
    """Little-endian float32 (letter f) or int32 (letter i) numbers."""
    return struct.pack(f"<{len(values)}{letter}", *values)


def decode_numbers(blob: bytes, letter: str) -> tuple[Any, ...]:
    """What `encode_numbers` was given, to the precision of float32."""
    return struct.unpack(f"<{len(blob) // 4}{letter}", blob)


def float32(value: float) -> float:
    """The nearest float32: Postgres prints REAL shortened, SQLite keeps double precision."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def finite(value: float, what: str) -> float:
    """`value` as a float; raises ValueError naming `what` if it is NaN or infinite."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} must be a finite number, not {number}")
    return number


def finite_or_none(value: float | None) -> float | None:
    """`value` as a float, None for NaN and infinities: a score that does not exist."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)
