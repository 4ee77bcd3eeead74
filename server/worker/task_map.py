"""The map task: t-SNE of one SAE's decoder rows, into the store.

Knows nothing of indexing; a silent latent is left out when an index says that it is silent.
"""

from collections.abc import Iterator

import numpy as np

from models.layout import Layout, Metric, layout_steps
from models.sae import SparseAutoencoder
from server.protocol import MapRequest
from server.store.maps import create_map, get_map, live_features
from server.store.saes import get_sae
from server.store.session import Database
from server.worker.library import open_sae, require_sae
from server.worker.progress import Progress, TaskContext


def run_map(context: TaskContext, request: MapRequest) -> Iterator[Progress]:
    """Lay out one SAE and show the result: of many features a quick map at once, then t-SNE."""
    record = require_sae(context.database, request.sae)
    yield Progress(0, 1, f"t-SNE of {record.name}")
    sae = open_sae(context.settings, record)
    database, seed = context.database, request.seed
    result: dict[str, object] = {}
    for step in map_steps(database, record.id, sae, request.metric, seed):
        result = step.result or result
        yield Progress(step.done, step.total, f"{record.name}: {step.message}")
    yield Progress(1, 1, "mapped", {"sae": record.id, **result})


def map_sae(
    database: Database, sae_id: int, sae: SparseAutoencoder, metric: Metric, seed: int
) -> dict[str, object]:
    """Lay out the live latents (all, before there is an index) and store the map."""
    *_, last = map_steps(database, sae_id, sae, metric, seed)
    return last.result or {}


def map_steps(
    database: Database, sae_id: int, sae: SparseAutoencoder, metric: Metric, seed: int
) -> Iterator[Progress]:
    """The same step by step; where there is no map yet, a quick one is shown until t-SNE is done."""
    with database.read() as session:
        live = live_features(session, sae_id)
        record = get_sae(session, sae_id)
        has_map = record is not None and get_map(session, record, metric) is not None
    features = np.array(live if live else range(sae.config.d_sae), dtype=np.int32)
    rows = sae.W_dec.detach()[features.tolist()]
    for step in layout_steps(rows, features, metric, seed):
        is_shown = step.layout is not None and (step.share == 1 or not has_map)
        result = _store(database, sae_id, step.layout) if is_shown else None
        yield Progress(step.share, 1, step.message, result)


def _store(database: Database, sae_id: int, layout: Layout) -> dict[str, object]:
    with database.write() as session:
        map_id = create_map(
            session,
            sae_id,
            metric=layout.metric,
            method=layout.method,
            perplexity=layout.perplexity,
            seed=layout.seed,
            trustworthiness=layout.trustworthiness,
            features=layout.features.tolist(),
            coordinates=layout.coordinates.tolist(),
        )
    items = len(layout.features)
    return {"map": map_id, "items": items, "trustworthiness": layout.trustworthiness}
