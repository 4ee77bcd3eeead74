"""Residual activations of a text: read, shuffled, served in batches, and kept on disk if asked to.

Knows nothing of SAEs.
"""

from models.activations.batch import Batch
from models.activations.cache import (
    ActivationCache,
    CachedSource,
    CacheType,
    clear_cache,
    open_cache,
)
from models.activations.cache_writer import write_cache
from models.activations.forward import TOKENS_PER_FORWARD, window_activations
from models.activations.sinks import SinkPolicy
from models.activations.stream import ActivationStream, BlockStream

__all__ = [
    "TOKENS_PER_FORWARD",
    "ActivationCache",
    "ActivationStream",
    "Batch",
    "BlockStream",
    "CacheType",
    "CachedSource",
    "SinkPolicy",
    "clear_cache",
    "open_cache",
    "window_activations",
    "write_cache",
]
