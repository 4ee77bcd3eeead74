"""The canonical sign of a signed SAE: which features are turned round, decided once and stored.

A latent and its negation code the same thing, so training picks the sign at random. The first index
gives the + pole to the side with more activation (Σ|z|); the SAE's row remembers which features that
turned, `open_sae` turns them at every load, and no later index changes it: links stay stable.
Difference-in-Mean axes keep the sign their lists of words gave them.
"""

import numpy as np
import torch
from sqlalchemy.orm import Session

from models.index.indexer import Indexer
from models.sae import SparseAutoencoder
from server.store.maps import delete_map
from server.store.saes import get_sae, update_sae


def settle_signs(indexer: Indexer) -> bytes | None:
    """Give every feature its canonical sign, in the SAE and the index; None for SAEs that have none."""
    config = indexer.sae.config
    if not config.is_signed or config.sparsifier == "dim":
        return None
    turned = indexer.statistics.heavier_minus()
    indexer.flip(turned)
    return np.packbits(turned).tobytes()


def apply_flips(sae: SparseAutoencoder, flips: bytes | None) -> None:
    """Turn the features round that are stored as turned."""
    if flips is not None:
        sae.flip(torch.from_numpy(read_flips(flips, sae.config.d_sae)))


def read_flips(flips: bytes, features: int) -> np.ndarray:
    """Which features are stored as turned: bool [features]."""
    return np.unpackbits(np.frombuffer(flips, dtype=np.uint8), count=features).astype(bool)


def fix_flips(session: Session, sae_id: int, flips: bytes | None) -> None:
    """Store the signs an index was made with, in the transaction that publishes it.

    Raises ValueError when another indexing has fixed others in the meantime.
    """
    record = get_sae(session, sae_id)
    if record is None or record.flips == flips:
        return
    if record.flips is not None:
        raise ValueError(
            f"the signs of {record.name} were fixed by another indexing meanwhile: index it again"
        )
    update_sae(session, sae_id, flips=flips)
    if flips is not None and any(flips):
        delete_map(session, sae_id, "directed")  # it shows the directions as they were
