"""The map task: t-SNE of one SAE's decoder rows, into the store.

Knows nothing of indexing; a silent latent is left out when an index says that it is silent.
"""

from collections.abc import Iterator

import numpy as np

from models.layout import Metric, lay_out
from models.sae import SparseAutoencoder
from server.protocol import MapRequest
from server.store.maps import create_map, live_features
from server.store.session import Database
from server.worker.library import open_sae, require_sae
from server.worker.progress import Progress, TaskContext


def run_map(context: TaskContext, request: MapRequest) -> Iterator[Progress]:
    """Lay out one SAE and show the result."""
    record = require_sae(context.database, request.sae)
    yield Progress(0, 1, f"t-SNE of {record.name}")
    sae = open_sae(context.settings, record)
    result = map_sae(context.database, record.id, sae, request.metric, request.seed)
    yield Progress(1, 1, "mapped", {"sae": record.id, **result})


def map_sae(
    database: Database, sae_id: int, sae: SparseAutoencoder, metric: Metric, seed: int
) -> dict[str, object]:
    """Lay out the live latents (all, before there is an index) and store the map."""
    with database.read() as session:
        live = live_features(session, sae_id)
    features = np.array(live if live else range(sae.config.d_sae), dtype=np.int32)
    layout = lay_out(sae.W_dec[features.tolist()], features, metric, seed)
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
            coordinates=[tuple(point) for point in layout.coordinates.tolist()],
        )
    return {"map": map_id, "items": len(features), "trustworthiness": layout.trustworthiness}
