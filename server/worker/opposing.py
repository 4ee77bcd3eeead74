"""The opposition of an index: computed from what its pass has gathered, and written to its rows.

Knows nothing of runs.
"""

import numpy as np

from models.index.indexer import Indexer
from models.index.opposition import Opposition, score_opposition
from models.language_model import LanguageModel
from server.store.indexes import is_opposed, update_opposition
from server.store.saes import get_sae
from server.store.session import Database

ROWS = 4_096  # per transaction


def find_opposition(lm: LanguageModel, indexer: Indexer) -> Opposition:
    """The score of every feature against strangers of its own frequency."""
    missing = max(0, len(lm.vocabulary) - len(indexer.background))
    return score_opposition(lm, indexer, np.pad(indexer.background, (0, missing)))


def write_opposition(database: Database, index_id: int, found: Opposition) -> None:
    """Write it to an index, whether that is shown already or not.

    Raises ValueError when the index is gone.
    """
    values = [(i, None if np.isnan(v) else float(v)) for i, v in enumerate(found.score)]
    summary = {
        "null_95": None if np.isnan(found.null_95) else found.null_95,
        "percentiles": list(found.percentiles),
        "draws": found.draws,
        "beating": found.beating,
    }
    for start in range(0, len(values), ROWS):
        with database.write() as session:
            update_opposition(session, index_id, values[start : start + ROWS], summary)


def shows_opposition(database: Database, sae_id: int) -> bool:
    """Whether the index that is shown of this SAE has been scored."""
    with database.read() as session:
        record = get_sae(session, sae_id)
        shown = None if record is None else record.published_index_id
        return shown is not None and is_opposed(session, shown)


def is_shown(database: Database, sae_id: int, index_id: int) -> bool:
    """Whether this index is still the one that is shown of the SAE."""
    with database.read() as session:
        record = get_sae(session, sae_id)
    return record is not None and record.published_index_id == index_id
