"""The script that steers without Dipole: its text with one request written into it.

Knows the page's state and the text in `steer_alone.txt`; imports nothing of what that text imports.
"""

from pathlib import Path
from pprint import pformat
from typing import Any

from server.store.language_models import ModelRecord
from server.web.steer_view import SteerState

ALONE = Path(__file__).with_name("steer_alone.txt")
DEMO_FOLDER = Path(__file__).parents[2] / "models" / "demo" / "lm"
"""Where Dipole itself keeps the demo model; the web process does not import `models`."""


def script_of(state: SteerState, model: ModelRecord) -> str:
    """A runnable file. Raises ValueError without a feature."""
    if not state.steered:
        raise ValueError("there is nothing to steer: choose a feature first")
    request: dict[str, Any] = {
        "prompt": state.query.prompt,
        "seed": state.query.seed,
        "temperature": state.query.temperature,
        "max_new_tokens": state.query.tokens,
        "positions": state.query.positions,
        "edits": [
            {
                "sae": entry.sae.name,
                "feature": entry.edit.feature,
                "hook": entry.sae.hook,
                "operation": entry.edit.operation,
                "strength": entry.edit.strength,
                "pole": entry.edit.pole,
            }
            for entry in state.steered
        ],
    }
    filled = ALONE.read_text(encoding="utf-8")
    filled = filled.replace("MODEL: str = ...", f"MODEL: str = {_source_of(model)!a}")
    literal = pformat(request, width=96, sort_dicts=False)
    return filled.replace("REQUEST: dict = ...", f"REQUEST: dict = {_ascii(literal)}")


def _source_of(model: ModelRecord) -> str:
    """What transformers loads from any folder: a hub id, or a folder's whole path."""
    folder = DEMO_FOLDER if model.is_demo else Path(model.source)
    return str(folder.resolve()) if folder.is_dir() else model.source


def _ascii(literal: str) -> str:
    """A Python literal in ASCII: a prompt may hold what UTF-8 cannot."""
    return literal.encode("ascii", "backslashreplace").decode("ascii")
