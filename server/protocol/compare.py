"""Messages about two SAEs against each other.

Knows no torch, no database and no page.
"""

from pydantic import Field

from server.protocol.base import Message, SaeKey

FRAGMENT_COSINE = 0.7
"""From here on a latent counts as pointing where a pole does."""


class CompareRequest(Message):
    """The live latents of two SAEs of one model and layer, by cosine of decoder rows."""

    a: SaeKey
    b: SaeKey
    limit: int = Field(default=50, ge=1, le=1_000)


class MatchedPair(Message):
    """A latent of A and one of B; a negative cosine is the same axis the other way round."""

    a: int
    b: int
    cosine: float


class Fragment(Message):
    """A latent of A and the two latents of B that its poles match; score is the smaller cosine."""

    feature: int
    plus: int
    plus_cosine: float
    minus: int
    minus_cosine: float
    score: float


class CompareResponse(Message):
    """Best first. Fragments are looked for where A is signed and B is not."""

    a: int
    b: int
    live_a: int
    live_b: int
    is_assignment: bool
    """Matched one to one (Hungarian on |cos|); else each latent of A to its nearest."""
    mean_cosine: float
    """The mean |cos| over all matched pairs: the stability of two seeds (science §4)."""
    opposed_a: int
    """Pairs of A's live latents with cos < −0.9: axes it holds in two pieces."""
    opposed_b: int
    matched: list[MatchedPair]
    fragments: list[Fragment]
    fragments_found: int
    """How many latents of A have both poles matched with cos > `FRAGMENT_COSINE` by different latents."""
