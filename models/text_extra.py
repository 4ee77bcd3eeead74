"""The extra `data`: libraries that only some texts need, loaded when one does.

Knows nothing of texts.
"""

import importlib
from typing import Any


def require_data_extra(module: str, wanted_by: str) -> Any:
    """A module of the extra `data`; raises ValueError, saying how to install it, where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{wanted_by} needs {module.partition('.')[0]}, which is not installed: "
            'run pip install "dipole[data]"'
        ) from error
