"""Reads an explaining model's answers. What cannot be read is an error, never a score.

Knows nothing of how they were asked for.
"""

import json
from typing import Any

from models.explain.prompts import LONGEST_TEXT, Words

THOUGHT = "</think>"  # models that reason aloud close with it


class MalformedAnswer(ValueError):
    """An answer that is not of the form that was asked for."""


def read_words(answer: str, has_plus: bool, has_minus: bool) -> Words:
    """The words for both poles; those of an empty pole are dropped.

    Raises MalformedAnswer when one that is needed is missing, empty or no text.
    """
    found = _read_object(answer)
    axis_is_needed = has_plus and has_minus
    wanted = {"plus": has_plus, "minus": has_minus, "axis": axis_is_needed}
    texts = {}
    for name, is_needed in wanted.items():
        text = found.get(name)
        if is_needed and (not isinstance(text, str) or not text.strip()):
            raise MalformedAnswer(f'the answer has no text for "{name}": {_shortened(answer)}')
        texts[name] = " ".join(str(text).split())[:LONGEST_TEXT] if is_needed else ""
    return Words(**texts)


def read_judgements(answer: str, count: int) -> list[bool]:
    """One yes or no per text. Raises MalformedAnswer unless there are exactly `count` of 0 or 1."""
    found = _read_object(answer).get("answers")
    if isinstance(found, list) and len(found) == count and all(map(_is_judgement, found)):
        return [bool(entry) for entry in found]
    raise MalformedAnswer(f"the answer is not {count} times 0 or 1: {_shortened(answer)}")


def _is_judgement(entry: object) -> bool:
    return isinstance(entry, int) and entry in (0, 1)


def _read_object(answer: str) -> dict[str, Any]:
    """The JSON object of an answer, whatever fence or thought stands around it."""
    said = answer.rpartition(THOUGHT)[2]
    first, last = said.find("{"), said.rfind("}")
    try:
        found = json.loads(said[first : last + 1]) if 0 <= first < last else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MalformedAnswer(f"the answer holds no JSON object: {_shortened(answer)}")
    return found


def _shortened(answer: str) -> str:
    said = " ".join(answer.split())
    return repr(said if len(said) <= 80 else f"{said[:77]}…")
