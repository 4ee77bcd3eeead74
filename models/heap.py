"""Memory that is free in this process but not yet for others.

Knows the C library of Linux (glibc), which keeps what was freed below whatever is still in use; does
nothing elsewhere.
"""

import ctypes
import ctypes.util
from functools import cache
from typing import Any


def give_back() -> None:
    """Hand free pages back to the system: some milliseconds, for a loop that allocates much."""
    library = _library()
    if library is not None:
        library.malloc_trim(0)


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(ctypes.util.find_library("c"))
        return library if hasattr(library, "malloc_trim") else None
    except OSError:
        return None
