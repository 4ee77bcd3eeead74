"""Typed messages about SAEs of other libraries, and the words their formats are called by.

Knows no torch, no database and no page. Same rules as `server.protocol`.
"""

from typing import Literal

from pydantic import Field

from server.protocol.base import Count, Message
from server.protocol.names import Name

ExportFormat = Literal["saelens", "sparsify", "dictionary_learning", "split", "dipole"]


class ImportRequest(Message):
    """Bring in an SAE that was trained elsewhere, measure it, index it and map it."""

    source: str = Field(min_length=1, max_length=1_000)
    """A folder of SAELens, sparsify, dictionary_learning or Dipole, or a hub id, with a folder behind it."""
    model: str = "demo"
    layer: int | None = Field(default=None, ge=0)
    """Residual stream after this block, from 0; None: as the SAE's own settings say."""
    text: str | None = None
    """What to measure and index on; None: the demo corpus, with the demo model only."""
    tokens: Count | None = None
    """Index no more than so many tokens of the text."""
    name: Name | None = None
