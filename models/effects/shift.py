"""How edits move the next token's distribution: log-odds, KL to the unsteered model, oddness.

Knows the batch's rows and edits; nothing of text that is written afterwards.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.generate import Edit, Positions, Row
from models.generate.hooks import hooks_of
from models.language_model import LanguageModel


class Shift(NamedTuple):
    """The next-token log-probabilities of several strengths, against the unsteered model's."""

    log_probabilities: Float[Tensor, "strengths vocabulary"]
    unsteered: Float[Tensor, "vocabulary"]

    @property
    def change(self) -> Float[Tensor, "strengths vocabulary"]:
        """Δ log p of every token, nats."""
        return self.log_probabilities - self.unsteered

    @property
    def kl(self) -> Float[Tensor, "strengths"]:
        """KL(steered ‖ unsteered), nats; exactly 0 where nothing is steered."""
        return (self.log_probabilities.exp() * self.change).sum(-1)


@torch.inference_mode()
def next_token_shift(
    lm: LanguageModel,
    prompt: Sequence[int],
    edits: Sequence[Sequence[Edit]],
    positions: Positions = "all",
) -> Shift:
    """One pass over the prompt for each list of edits, and one without, in a single batch."""
    rows = [Row(prompt, tuple(own), 1, positions=positions) for own in ((), *edits)]
    ids = torch.tensor([list(prompt)] * len(rows), device=lm.device)
    with lm.intervene(hooks_of(rows, ids)):
        logits = lm.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
    log_probabilities = logits.float().log_softmax(-1)
    return Shift(log_probabilities[1:], log_probabilities[0])


def oddness(
    plus: Float[Tensor, "... vocabulary"], minus: Float[Tensor, "... vocabulary"]
) -> Float[Tensor, "..."]:
    """Does −x do the opposite of +x? −cos of the two changes of the logits, each centred.

    1: exactly the opposite (a linear effect); 0: unrelated; −1: both sides do the same (an even
    effect, which is damage rather than an axis). nan where a side does nothing.
    """
    left, right = (change - change.mean(-1, keepdim=True) for change in (plus, minus))
    length = left.norm(dim=-1) * right.norm(dim=-1)
    return -(left * right).sum(-1) / torch.where(length > 0, length, torch.nan)
