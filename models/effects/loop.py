"""Closed loop: steered text read again, and the activation that was in effect while it was written.

Knows edits and the unsteered model; nothing of pages.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.generate import Edit, Positions, Row
from models.generate.edits import read_code
from models.generate.hooks import hooks_of
from models.language_model import LanguageModel


class Reading(NamedTuple):
    """One activation per token of prompt and written text; position 0 carries 0.

    `reread`: the unsteered model reads the text: does it speak of the pole by itself?
    `in_effect`: while it was steered, measured at the hook: the code before the edit plus what the
    edit added along d, in the latent's units. clamp at c reads c, add of c reads z + c.
    """

    reread: Float[Tensor, "position"]
    in_effect: Float[Tensor, "position"]


@torch.inference_mode()
def read_again(
    lm: LanguageModel,
    prompt: Sequence[int],
    written: Sequence[int],
    edits: Sequence[Edit],
    watched: Edit,
    positions: Positions = "all",
) -> Reading:
    """The activation of the watched edit's latent over a text that was written with `edits`."""
    ids = torch.tensor([[*prompt, *written]], device=lm.device)
    sae, layer, feature = watched.sae, watched.layer, watched.feature
    plain = lm.residual(ids, layer)
    reread = read_code(sae, feature, plain, ids)[0, :, 0].float()
    # The text is read in one pass: what was generated counts as written behind the prompt.
    row = Row(list(prompt), tuple(edits), 1, positions=positions)
    seen: list[tuple[Tensor, Tensor]] = []
    hooks = hooks_of([row], ids)
    apply = hooks.get(layer)

    def watch(hidden: Tensor) -> Tensor:
        edited = hidden if apply is None else apply(hidden)
        seen.append((hidden, edited))
        return edited

    with lm.intervene({**hooks, layer: watch}):
        lm.model(input_ids=ids, use_cache=False, logits_to_keep=1)
    before, after = seen[0]
    direction = watched.direction.to(before)
    # Imported rows need not be of unit norm: what was added along d is counted in d's.
    share = (after - before) @ direction / direction.square().sum()
    added = share * sae.config.input_scale
    in_effect = (read_code(sae, feature, before, ids)[0, :, 0] + added[0]).float()
    reread[0] = in_effect[0] = 0.0
    return Reading(reread, in_effect)
