"""Which words a search finds: text cut into the terms that stand in the full-text index.

Knows Unicode, no database. A word is found by its beginning, and by what follows a punctuation
mark, a symbol, or any letter of a script without upper and lower case, where words are seldom
set apart: `case` finds `snake_case`, and one character finds every Chinese word that has it. Both
databases are handed these terms and cut nothing themselves, so they find the same.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

LONGEST_WORD = 40
"""Characters; the rest of a longer word is not searched."""

REMEMBERED = 1 << 15
"""Words whose terms are kept: labels say the same ones again and again."""

_ARROW = "↔"
"""What joins the poles of a label says nothing about them."""


def normalise(text: str) -> str:
    """Text without case, accents and invisible marks: what is compared in a search."""
    if text.isascii() and text.isprintable():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = (
        character for character in decomposed if character.isspace() or not _is_unseen(character)
    )
    return unicodedata.normalize("NFC", "".join(kept)).casefold()


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared, in their order, without repetition."""
    return list(dict.fromkeys(word for each in text.split() for word in words_between_spaces(each)))


def terms_of(texts: Iterable[str]) -> set[str]:
    """Every term of these texts: a search finds them by the beginning of a term."""
    found: set[str] = set()
    for text in texts:
        found.update(*map(_terms, text.split()))
    return found


def matches(words: Iterable[str], terms: Iterable[str]) -> bool:
    """Whether any of these words is the beginning of any of these terms."""
    beginnings = tuple(words)
    return any(term.startswith(beginnings) for term in terms)


def _is_unseen(character: str) -> bool:
    """Accents, which few people type, and marks of direction or control, which nobody sees."""
    return "\u0300" <= character <= "\u036f" or unicodedata.category(character) in ("Cc", "Cf")


def _without_comma(word: str) -> str:
    """`king,` in a list of words is `king`; a comma alone is a token."""
    return word[:-1] if len(word) > 1 and word[-1] == "," else word


@lru_cache(REMEMBERED)
def words_between_spaces(piece: str) -> tuple[str, ...]:
    """The words of what stands between two spaces: most often one, none in an arrow."""
    if piece == _ARROW:
        return ()
    return tuple(_without_comma(word)[:LONGEST_WORD] for word in normalise(piece).split())


@lru_cache(REMEMBERED)
def _terms(piece: str) -> frozenset[str]:
    """The terms of these words."""
    return frozenset(term for word in words_between_spaces(piece) for term in _terms_of_word(word))


def _terms_of_word(word: str) -> Iterator[str]:
    yield word
    if word.isascii() and word.isalnum():
        return
    for place in range(1, len(word)):
        if _begins(word[place - 1], word[place]):
            yield word[place:]


def _begins(before: str, character: str) -> bool:
    """Whether something that people type begins at this character."""
    category = unicodedata.category(character)
    if category[0] == "M":
        return False
    return category == "Lo" or category[0] in "PS" or unicodedata.category(before)[0] in "PS"
