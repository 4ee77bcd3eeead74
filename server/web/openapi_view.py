"""The operations of the API as the docs page lists them, from FastAPI's own description.

Knows the shape of OpenAPI documents; no page and no route.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One thing an operation takes, from its path, its query or its body."""

    name: str
    place: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    """One method on one path; every second piece of `summary` is code."""

    id: str
    method: str
    path: str
    summary: Sequence[str]
    parameters: Sequence[Parameter]


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """Every operation of an OpenAPI document, in its order."""
    return [
        Operation(
            id=entry["operationId"],
            method=method.upper(),
            path=path,
            summary=(entry.get("description") or entry.get("summary", "")).split("`"),
            parameters=[*_parameters(entry), *_body(entry, document)],
        )
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    ]


def _parameters(entry: Mapping[str, Any]) -> Iterator[Parameter]:
    for parameter in entry.get("parameters", ()):
        schema = parameter.get("schema", {})
        yield Parameter(
            name=parameter["name"],
            place=parameter["in"],
            kind=_kind(schema),
            required=parameter.get("required", False),
            description=parameter.get("description") or schema.get("description", ""),
        )


def _body(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Parameter]:
    content = entry.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema = document.get("components", {}).get("schemas", {}).get(name, {})
    for field, shape in schema.get("properties", {}).items():
        yield Parameter(
            name=field,
            place="body",
            kind=_kind(shape),
            required=field in schema.get("required", ()),
            description=shape.get("description", ""),
        )


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        kinds = [_kind(option) for option in schema["anyOf"]]
        return " or ".join(kind for kind in dict.fromkeys(kinds) if kind != "null")
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return schema.get("type", "")
