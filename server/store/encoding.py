"""How values are written into columns: text, JSON, tokens, sparse activations, time.

Knows bytes and strings, no table and no session. Everything here reads back exactly what was
written, on both databases, except `clean_text`, whose losses are named in its docstring.
"""

import json
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

LARGEST_ID = 2**31 - 1
_TOKEN_FORMATS = {2: "H", 4: "I"}
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_EXPECTED = (
    b'0.0883883,0.125,0.176777,22.6274,32.0,45.2548,{"histogram":{"edges":[-11.3137,-8.0,-5.65685,'
    b"-4.0,-2.82843,-2.0,-1.41421,-1.0,-0.707107,-0.5,-0.353553,-0.25,0.25,0.353553,0.5,0.707107,"
    b'1.0,1.41421,2.0,2.82843,4.0,5.65685,8.0,11.3137],"counts":[0,0,0,0,0,0],"zeros":,"tokens":},'
    b'"quantiles":{"shares":[0.5,0.9,0.99,0.999],"+":[],"-":[-]},"intervals":[[8.0,16.0,0,'
    b'],[4.0,8.0,],[2.0,4.0,],[1.0,2.0,],[0.5,1.0,],[0.25,0.5,0,0]],"labels":{"+":[["",],["",'
    b']],"-":[["",]]},"turns":{"+":,"-":},"promoted":[[" the",0.],[" a",0.]],"suppressed":[[" ",-0.'
    b'],[" and",-0.]],"neighbours":{"aligned":[[,0.1],[,0.2]],"opposed":[[,-0.1],[,-0.2]]},"tokens":'
    b'{"sampled":,"+":[[" was",,1.],[".",]],"-":[[",",,-1.],[" to",,-0.]]},"together":{"sampled":,'
    b'"features":[[,0.0,1.0,0.5,],[,0.0,1.1,0.4,]]}}'
)
"""What the details of most features have in common: a preset dictionary for deflate, which saves a
fifth of each. It is part of the format: another one must not be put in its place."""


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
    return _ENCODER.encode(value)


def load_json(text: str) -> Any:
    """What `dump_json` was given."""
    return json.loads(text)


def encode_tokens(token_ids: Sequence[int], token_bytes: int) -> bytes:
    """Token ids as little-endian unsigned integers of 2 or 4 bytes."""
    return struct.pack(f"<{len(token_ids)}{_TOKEN_FORMATS[token_bytes]}", *token_ids)


def decode_tokens(blob: bytes, token_bytes: int) -> list[int]:
    """Token ids from what `encode_tokens` wrote."""
    return list(struct.unpack(f"<{len(blob) // token_bytes}{_TOKEN_FORMATS[token_bytes]}", blob))


def pack_json(value: Any) -> bytes:
    """The same, compressed: lists of numbers and tokens shrink to less than half."""
    deflate = zlib.compressobj(zdict=_EXPECTED)
    return deflate.compress(dump_json(value).encode("ascii")) + deflate.flush()


def unpack_json(blob: bytes) -> Any:
    """What `pack_json` was given, now or before it had a preset dictionary."""
    return json.loads(zlib.decompressobj(zdict=_EXPECTED).decompress(blob))


def encode_activations(pairs: Iterable[tuple[int, float]]) -> bytes:
    """The non-zero activations of one window, 4 bytes each (5 where an offset exceeds 255).

    One byte says how wide offsets are, 1 or 2; then come the offsets, then the values: float32
    rounded to its upper three bytes, so to 2^-16 of each value. Half precision, one byte less,
    would be off by 2^-11, more than the comparison with a brute-force index allows.
    """
    offsets, values = tuple(zip(*pairs, strict=True)) or ((), ())
    if not offsets:
        return b""
    width = 1 if max(offsets) < 256 else 2
    count = len(values)
    bits = struct.unpack(f"<{count}I", struct.pack(f"<{count}f", *values))
    # The largest float32 must not be rounded up to infinity.
    rounded = [each + 0x80 if each & 0x7FFFFFFF < 0x7F7FFF80 else each for each in bits]
    whole = struct.pack(f"<{count}I", *rounded)
    upper = bytearray(3 * count)
    for place in range(3):
        upper[place::3] = whole[place + 1 :: 4]
    return struct.pack(f"<B{count}{'BH'[width - 1]}", width, *offsets) + upper


def decode_activations(blob: bytes, length: int) -> list[float]:
    """One signed activation per token of a window of `length` tokens; 0 where nothing is stored."""
    activations = [0.0] * length
    if not blob:
        return activations
    width = blob[0]
    count = (len(blob) - 1) // (width + 3)
    offsets = struct.unpack_from(f"<{count}{'BH'[width - 1]}", blob, 1)
    upper = blob[1 + width * count :]
    whole = bytearray(4 * count)
    for place in range(3):
        whole[place + 1 :: 4] = upper[place::3]
    for offset, value in zip(offsets, struct.unpack(f"<{count}f", whole), strict=True):
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
