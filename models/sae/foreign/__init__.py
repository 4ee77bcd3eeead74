"""SAEs of other libraries: read into our form, and written so that they load there."""

from models.sae.foreign.formats import (
    EXPORTS,
    FORMATS,
    Found,
    detect,
    find_sae,
    read_foreign,
    write_foreign,
)
from models.sae.foreign.hub import Fetched, fetch_sae

__all__ = [
    "EXPORTS",
    "FORMATS",
    "Fetched",
    "Found",
    "detect",
    "fetch_sae",
    "find_sae",
    "read_foreign",
    "write_foreign",
]
