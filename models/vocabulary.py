"""The exact text of every token id, so that pages need no tokenizer.

Knows byte-level and sentencepiece spellings; knows nothing of models.
"""

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode


def token_strings(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """One string per id; ids without a token are `<unused N>`, half characters are \\xNN escapes."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(min(size, len(tokenizer)))))
    special = set(tokenizer.all_special_ids)
    is_byte_level = _is_byte_level(pieces)
    decode = _byte_level if is_byte_level else _sentencepiece
    strings = [
        f"<unused {index}>" if piece is None else piece if index in special else decode(piece)
        for index, piece in enumerate(pieces)
    ]
    return strings + [f"<unused {index}>" for index in range(len(strings), size)]


def _is_byte_level(pieces: list[str | None]) -> bool:
    spaced = [piece for piece in pieces if piece]
    return sum(piece[0] == "Ġ" for piece in spaced) > sum(piece[0] == "▁" for piece in spaced)


_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}


def _byte_level(piece: str) -> str:
    if any(character not in _BYTES for character in piece):
        return piece  # an added token, spelled as it is
    return bytes(_BYTES[character] for character in piece).decode(
        "utf-8", errors="backslashreplace"
    )


def _sentencepiece(piece: str) -> str:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        byte = bytes([int(piece[3:5], 16)])
        return byte.decode("utf-8", errors="backslashreplace")
    return piece.replace("▁", " ")
