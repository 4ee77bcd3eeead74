"""An SAE of the library, written so that another library loads it.

Knows nothing of runs: it takes a second at most.
"""

from pathlib import Path
from typing import Any

from models.sae.foreign import write_foreign
from server.protocol.files import ExportFormat
from server.settings import Settings
from server.store.language_models import get_model
from server.store.session import Database
from server.worker.library import open_sae, require_sae


def export_sae(
    settings: Settings,
    database: Database,
    key: int | str,
    format_: ExportFormat,
    folder: Path,
    split: bool,
) -> dict[str, Any]:
    """Write an SAE, signs as the library shows them. Raises ValueError when the format cannot hold it."""
    record = require_sae(database, key)
    sae = open_sae(settings, record)
    with database.read() as session:
        model = get_model(session, record.model_id)
    place = model.source if model else record.model
    about = {**record.config, "model": place, "layer": record.layer}
    plain = write_foreign(folder, sae, format_, about, split)
    return {
        "sae": record.id,
        "name": record.name,
        "format": format_,
        "folder": str(folder),
        "sparsifier": record.sparsifier if plain is None else plain.rule,
        "width": record.d_sae if plain is None else plain.d_sae,
        "split": plain is not None and bool(plain.about.get("split")),
        "files": sorted(path.name for path in folder.iterdir()),
    }
