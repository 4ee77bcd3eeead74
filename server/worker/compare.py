"""Two SAEs against each other: which latents are the same, which axis is broken in two.

Plain functions on loaded SAEs; dead latents are left out. Knows nothing of HTTP or threads.
"""

import numpy as np
import torch

from models.evaluate.matching import Fragments, count_opposed, find_fragments, match_latents
from server.protocol import CompareRequest, CompareResponse, Fragment, MatchedPair
from server.protocol.compare import FRAGMENT_COSINE
from server.store.maps import live_features
from server.store.saes import SaeRecord
from server.worker.shelf import Shelf


@torch.inference_mode()
def compare(shelf: Shelf, request: CompareRequest) -> CompareResponse:
    """Matched latents and fragments. Raises ValueError on SAEs of different models or layers."""
    (record_a, sae_a), (record_b, sae_b) = shelf.sae(request.a), shelf.sae(request.b)
    if (record_a.model_id, record_a.layer) != (record_b.model_id, record_b.layer):
        raise ValueError(
            f"{record_a.name} reads layer {record_a.layer} of {record_a.model}, {record_b.name} layer "
            f"{record_b.layer} of {record_b.model}: compare SAEs of one layer and model"
        )
    live_a, live_b = (_live(shelf, record) for record in (record_a, record_b))
    if not len(live_a) or not len(live_b):
        raise ValueError("one of the SAEs has no live feature: there is nothing to compare")
    rows_a, rows_b = sae_a.W_dec[live_a].cpu(), sae_b.W_dec[live_b].cpu()
    matches = match_latents(rows_a, rows_b)
    is_asked = sae_a.config.is_signed and not sae_b.config.is_signed
    fragments = find_fragments(rows_a, rows_b) if is_asked else None
    return CompareResponse(
        a=record_a.id,
        b=record_b.id,
        live_a=len(live_a),
        live_b=len(live_b),
        is_assignment=matches.is_assignment,
        mean_cosine=float(np.abs(matches.cosine).mean()),
        opposed_a=count_opposed(rows_a),
        opposed_b=count_opposed(rows_b),
        matched=[
            MatchedPair(a=int(live_a[a]), b=int(live_b[b]), cosine=float(cosine))
            for a, b, cosine in list(zip(*matches[:3], strict=True))[: request.limit]
        ],
        fragments=[] if fragments is None else _fragments(fragments, live_a, live_b, request.limit),
        fragments_found=0 if fragments is None else int(_is_found(fragments).sum()),
    )


def _live(shelf: Shelf, record: SaeRecord) -> np.ndarray:
    """The features that fired in the published index; all of them where there is none."""
    if record.published_index_id is None:
        return np.arange(record.d_sae)
    with shelf.database.read() as session:
        return np.array(live_features(session, record.id), dtype=np.int64)


def _is_found(fragments: Fragments) -> np.ndarray:
    return (fragments.score > FRAGMENT_COSINE) & (fragments.plus != fragments.minus)


def _fragments(
    fragments: Fragments, live_a: np.ndarray, live_b: np.ndarray, limit: int
) -> list[Fragment]:
    order = np.argsort(-fragments.score, kind="stable")[:limit]
    return [
        Fragment(
            feature=int(live_a[row]),
            plus=int(live_b[fragments.plus[row]]),
            plus_cosine=float(fragments.plus_cosine[row]),
            minus=int(live_b[fragments.minus[row]]),
            minus_cosine=float(fragments.minus_cosine[row]),
            score=float(fragments.score[row]),
        )
        for row in order
    ]
