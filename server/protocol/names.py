"""What an SAE may be called: its name is a folder's, too.

Knows no library: whether a name is free is for the worker to find.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

MOST_BYTES = 200
"""A file system takes 255; a number may be put behind a name that is not free."""


def check_name(name: str, tail: str = "") -> str:
    """The name. Raises ValueError, saying why, when no folder can be called so with this tail."""
    if not name.strip():
        raise ValueError("the name is empty: leave it out, or give one")
    if "/" in name or "\0" in name or name.startswith("."):
        raise ValueError(
            f"the name {name!r} cannot be a folder: leave out slashes and a leading dot"
        )
    size = len(f"{name}{tail}".encode(errors="surrogatepass"))
    if size > MOST_BYTES:
        more = f" with {tail!r} behind it" if tail else ""
        raise ValueError(
            f"the name {name[:20]!r}… has {size} bytes{more}, but a folder's name should have no "
            f"more than {MOST_BYTES}: choose a shorter one"
        )
    return name


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_name)]
