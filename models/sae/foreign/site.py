"""Where in a model a foreign SAE reads, from the name that its library gave the place.

Ours is the residual stream after block n, blocks counted from 0. Knows no file and no model.
"""

import re
from typing import NamedTuple

RESIDUAL = (
    (re.compile(r"^blocks\.(\d+)\.hook_resid_post$"), 0),
    (re.compile(r"^blocks\.(\d+)\.hook_resid_pre$"), -1),
    (re.compile(r"^resid_post_layer_(\d+)$"), 0),
    (re.compile(r"^(?:[a-z_]+\.)*(?:layers|h|blocks)\.(\d+)$"), 0),
)
"""Names of the residual stream, and how far the block they name is from the one before it."""
ELSEWHERE = re.compile(r"attn|attention|mlp|hook_z|hook_q|hook_k|hook_v|embed|resid_mid|ln\d|norm")


class Site(NamedTuple):
    """The place as its library calls it, and our layer if the name tells; layer −1 is the embedding."""

    hook: str | None
    layer: int | None

    def settle(self, asked: int | None) -> int:
        """The layer to use. Raises ValueError when it is unknown, elsewhere, or not the one asked for."""
        if self.hook is not None and self.layer is None and ELSEWHERE.search(self.hook):
            raise ValueError(
                f"this SAE reads {self.hook}, but only the residual stream after a block can be "
                "browsed: import one that was trained on it"
            )
        if self.layer is not None and self.layer < 0:
            raise ValueError(
                f"this SAE reads {self.hook}, the stream before the first block, but only the "
                "stream after a block can be browsed: import another one"
            )
        if self.layer is None and asked is None:
            raise ValueError("the SAE's settings do not say where it reads: give --layer N")
        if asked is not None and self.layer is not None and asked != self.layer:
            raise ValueError(
                f"this SAE reads {self.hook}, which is --layer {self.layer} here (the residual "
                f"stream after block {self.layer}, from 0), not {asked}"
            )
        return self.layer if asked is None else asked  # type: ignore[return-value]


def find_site(hook: object) -> Site:
    """The site of a hook name; a missing or unknown name leaves the layer open."""
    if not isinstance(hook, str) or not hook:
        return Site(None, None)
    for pattern, offset in RESIDUAL:
        if found := pattern.match(hook):
            return Site(hook, int(found[1]) + offset)
    return Site(hook, None)
