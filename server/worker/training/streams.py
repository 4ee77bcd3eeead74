"""The activations that a training reads: from the language model, or from a cache on disk.

Knows where caches are kept and when one fits. Knows nothing of SAEs.
"""

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from models.activations import (
    ActivationCache,
    ActivationStream,
    BlockStream,
    CachedSource,
    CacheType,
    open_cache,
    write_cache,
)
from models.corpus import Window
from models.language_model import LanguageModel
from server.protocol import TrainRequest
from server.worker.progress import Progress
from server.worker.training.recipes import batch_size, sink_policy, stream_seed

ACTIVATIONS = "activations"


def open_stream(
    request: TrainRequest,
    lm: LanguageModel,
    layer: int,
    windows: Sequence[Window],
    cache: ActivationCache | None,
) -> BlockStream:
    """Batches for the request, from the cache where there is one."""
    batch, seed, sinks = batch_size(request), stream_seed(request), sink_policy(request)
    if cache is not None:
        source = CachedSource(cache, lm.device)
        return BlockStream(source, batch, request.tokens, seed, sinks=sinks)
    return ActivationStream(lm, layer, windows, batch, request.tokens, seed, sinks=sinks)


def open_or_write_cache(
    data_dir: Path, lm: LanguageModel, layer: int, windows: Sequence[Window], dtype: CacheType
) -> Generator[Progress, None, ActivationCache]:
    """The cache of these windows, written now unless an earlier training has left it whole."""
    mark = fingerprint(lm, layer, windows)
    folder = (
        data_dir / ACTIVATIONS / f"{lm.name.replace('/', '-')}-layer{layer}-{dtype}-{mark[:16]}"
    )
    try:
        return open_cache(folder)
    except ValueError:
        for step in write_cache(folder, lm, layer, windows, mark, dtype):
            message = f"cached {step.done:,} of {step.total:,} activations"
            yield Progress(step.done, step.total, message)
    return open_cache(folder)


def fingerprint(lm: LanguageModel, layer: int, windows: Sequence[Window]) -> str:
    """What identifies activations: the model's weights (by a sum of each), the layer, the tokens."""
    digest = hashlib.sha256(repr((lm.family, layer, len(windows))).encode())
    for name, parameter in lm.model.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}{float(parameter.double().sum())!r}".encode())
    for window in windows:
        digest.update(np.array([len(window.tokens), *window.tokens], dtype="<u4").tobytes())
    return digest.hexdigest()
