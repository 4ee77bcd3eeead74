"""What a page's form sent: its fields by name, those that were left empty left out.

Knows how a browser encodes a form; nothing of what the fields mean.
"""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

MOST_FIELDS = 200

Form = dict[str, list[str]]


async def read_form(request: Request) -> Form:
    """The fields of an urlencoded body; 422 with a sentence if it cannot be read."""
    try:
        pairs = parse_qsl(
            (await request.body()).decode("utf-8"), errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:  # UnicodeDecodeError is one
        raise HTTPException(422, "The form cannot be read: send it again from its page.") from None
    fields: Form = {}
    for name, value in pairs:
        if value.strip():
            fields.setdefault(name, []).append(value.strip())
    return fields


FormDep = Annotated[Form, Depends(read_form)]
