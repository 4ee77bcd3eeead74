"""Messages about long work: the payload of each kind of run.

Knows no torch, no database and no page.
"""

from typing import Annotated, Literal

from pydantic import Field

from server.protocol.base import Count, Message, OneOrMore, SaeKey, Seed, TrainableSparsifier
from server.protocol.names import Name


class TrainRequest(Message):
    """Train one SAE, or several on one pass of the activations, then index and map them.

    Where a list may stand (`sae`, `k`, `seed`, `sparsity_weight`), every combination is trained.
    `server.train_rules` says which fields go together; None takes what suits the sparsifier.
    """

    model: str = "demo"
    layer: int | None = Field(default=None, ge=0)
    """Residual stream after this block, counted from 0; None takes the middle one."""
    text: str
    """A file of this server or `hf:NAME[/CONFIG][:SPLIT]`, with `#COLUMN` where there are columns.

    .txt, where documents end with a line <|endoftext|> or at blank lines; .jsonl or .ndjson; each of
    them also .gz or .zst; or .parquet.
    """
    sae: OneOrMore[TrainableSparsifier] = "abstopk"
    width: int = Field(default=1024, ge=1)
    k: OneOrMore[Count] = 24
    tokens: int = Field(default=1_000_000, ge=1)
    seed: OneOrMore[Seed] = 0
    name: Name | None = None
    sparsity_weight: OneOrMore[Annotated[float, Field(ge=0)]] | None = None
    threshold: float | None = Field(default=None, ge=0)
    sigma: Literal["fixed", "learned"] = "learned"
    sample: bool = True
    rectify: bool = False
    by_magnitude: bool = False
    prefixes: list[Count] = Field(default_factory=list[int], max_length=64)
    token_bias: bool = False
    lr: float | None = Field(default=None, gt=0)
    batch: Count | None = None
    precision: Literal["exact", "candidates"] = "exact"
    processes: int = Field(default=1, ge=1, le=64)
    keep_sinks: bool = False
    outlier_norm: float = Field(default=10.0, gt=1)
    cache: Literal["float16", "bfloat16", "float32"] | None = None
    checkpoint_every: Count | None = None
    """Steps; None: 100 on a CPU, 1,000 on a GPU."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")


class IndexRequest(Message):
    """Index SAEs of one model over one text in a single pass of the model."""

    saes: list[SaeKey] = Field(min_length=1)
    text: str | None = None
    """None: the text the SAE was trained on, or the demo corpus."""
    tokens: int | None = Field(default=None, ge=1)


class MapRequest(Message):
    """Lay out one SAE's decoder rows in two dimensions."""

    sae: SaeKey
    metric: Literal["axis", "directed"] = "axis"
    seed: Seed = 0


class DemoRequest(Message):
    """Bring in the demo model, its SAEs and axes; index the first tokens, map, then the rest."""

    first_tokens: int = Field(default=100_000, ge=1)
