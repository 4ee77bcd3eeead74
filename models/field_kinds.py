"""Whether a config's fields are of the kinds they are declared as: JSON may hold anything.

Knows numbers, switches, texts and rows of numbers; what is declared otherwise is for the config itself.
"""

from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def check_kinds(config: Any) -> None:
    """Raise ValueError, naming the first field of a dataclass that holds another kind of thing."""
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        if not _is_of(value, hint):
            raise ValueError(f"{name} is {value!r}, but must be {_named(hint)}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _is_of(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_is_of(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        part = get_args(hint)[0]
        return isinstance(value, tuple) and all(_is_of(each, part) for each in value)
    if hint in (int, float):
        wanted = Integral if hint is int else Real
        return isinstance(value, wanted) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    return value is None if hint is type(None) else True


def _named(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_named(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each of them {_named(get_args(hint)[0])}"
    return "left out" if hint is type(None) else NAMES.get(hint, str(hint))
