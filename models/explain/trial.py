"""Which contexts an explanation is made from, which it is tested on, and what the tests score.

Contexts are split by document, so that none is tested whose document was shown. Random contexts
come with their true activations: those that the pole answers to are no negatives.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.explain.prompts import Snippet

SHOWN = 8  # contexts per pole in the question for words
TESTED = 8  # held-out contexts per pole in a test
QUIET = 0.5  # a random context is a negative below this share of the weakest held-out one


class Context(NamedTuple):
    """A snippet, the document that it is from, and the pole's extreme activation in it (random: 0)."""

    snippet: Snippet
    document: int
    value: float


class PoleContexts(NamedTuple):
    """One pole's contexts: those that are shown, those held out, and random ones it is silent on."""

    shown: tuple[Snippet, ...]
    held_out: tuple[Snippet, ...]
    quiet: tuple[Snippet, ...]


class Trial(NamedTuple):
    """Snippets in the order in which they are asked, and the true answers."""

    snippets: tuple[Snippet, ...]
    truth: tuple[bool, ...]

    def balanced_accuracy(self, judgements: Sequence[bool]) -> float:
        """The mean of the shares of each kind that were judged right; 0.5 is chance."""
        truth, said = np.array(self.truth), np.array(judgements)
        return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def divide(
    contexts: Mapping[str, Sequence[Context]], random: Sequence[Context]
) -> dict[str, PoleContexts]:
    """Split the contexts of the poles "+" and "-", strongest first, into shown and held-out ones.

    Every other one is shown. A random context is quiet for a pole if that pole's extreme in it stays
    below QUIET of the weakest held-out one's: in a dense feature that can be few, or none.
    """
    shown = {pole: list(found)[::2][:SHOWN] for pole, found in contexts.items()}
    seen = {context.document for found in shown.values() for context in found}
    divided = {}
    for pole, found in contexts.items():
        held_out = [context for context in found if context.document not in seen][:TESTED]
        weakest = min((abs(context.value) for context in held_out), default=0.0)
        used = seen | {context.document for context in held_out}
        quiet = [
            context
            for context in random
            if context.document not in used and _extreme(context, pole) < QUIET * weakest
        ][:TESTED]
        parts = (shown[pole], held_out, quiet)
        divided[pole] = PoleContexts(*(tuple(each.snippet for each in part) for part in parts))
    return divided


def _extreme(context: Context, pole: str) -> float:
    sign = 1 if pole == "+" else -1
    return max((sign * value for value in context.snippet.activations), default=0.0)


def make_trial(
    yes: Sequence[Snippet], no: Sequence[Snippet], random: np.random.Generator
) -> Trial | None:
    """As many of either kind, in a random order; None where one kind has fewer than two."""
    count = min(len(yes), len(no))
    if count < 2:
        return None
    snippets = [*yes[:count], *no[:count]]
    order = random.permutation(2 * count)
    return Trial(
        tuple(snippets[place] for place in order), tuple(bool(place < count) for place in order)
    )
