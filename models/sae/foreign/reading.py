"""Settings and tensors of foreign files, asked for by name, with a sentence when they are not there.

Knows no particular format.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def require(tensors: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    """Tensors in float32. Raises ValueError naming the first one that is missing."""
    for name in names:
        if name not in tensors:
            raise ValueError(
                f"the weights lack {name!r} (they hold {', '.join(sorted(tensors)) or 'nothing'}): "
                "copy the SAE again, or check that its settings belong to it"
            )
    return [tensors[name].float() for name in names]


def whole_number(settings: Mapping[str, Any], name: str) -> int:
    """A positive whole number of the settings. Raises ValueError when it is none."""
    value = settings.get(name)
    # The rest of an infinity, and of NaN, is NaN.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
        raise ValueError(f"the settings give {name} as {value!r}, but it must be a whole number")
    if value < 1:
        raise ValueError(f"the settings give {name} as {value!r}, but it must be at least 1")
    return int(value)
