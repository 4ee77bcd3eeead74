"""Concept scores of an index: passages chosen before a pass, averaged in it, scored after it.

Knows the built-in concepts through `models.concepts`; nothing of the store.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from models.concepts.score import ConceptScore, answer, ask_concepts
from models.concepts.sentences import Sentence, cut_passages, mean_activations, presence
from models.corpus import Window
from models.index.span_means import SpanMeans
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

PASSAGES = 4_000
SENTENCES_EACH = 3
PASSAGE_CELLS = 100_000_000  # passages × latents of all SAEs held at once
PRESENCE_PER_MEAN = 4  # bytes of a mean against one of a token's presence
FEWEST_PASSAGES = 400


class Passages:
    """Passages of a corpus's first windows, and the mean codes of every signed SAE over them.

    One-sided SAEs are not asked: none of their codes is ever negative. Passages are taken from the end: the
    demo's recipe was chosen on some from the beginning. Those before window `first` were read earlier
    and are read once more when they are scored.
    """

    def __init__(
        self,
        lm: LanguageModel,
        saes: Sequence[tuple[SparseAutoencoder, int]],
        windows: Sequence[Window],
        first: int,
    ) -> None:
        self._lm = lm
        self._windows = windows
        self._layers = {
            place: layer for place, (sae, layer) in enumerate(saes) if sae.config.is_signed
        }
        self._saes = {place: saes[place][0] for place in self._layers}
        self.spans = self._cut()
        self._early = [index for index, span in enumerate(self.spans) if span.window < first]
        self.means: Mapping[int, SpanMeans] = {
            place: SpanMeans(self.spans, sae.config.d_sae) for place, sae in self._saes.items()
        }

    def flip(self, place: int, features: np.ndarray) -> None:
        """The SAE at this place has been turned round in these features (bool [d_sae])."""
        if place in self.means:
            self.means[place].flip(features)

    def score(self) -> dict[int, list[ConceptScore]]:
        """Per SAE that was asked, the built-in concepts that the text can answer."""
        if not self.spans:
            return {}
        self._read_early()
        held = presence(len(self._lm.vocabulary), self._windows, self.spans)
        document = np.array([span.document for span in self.spans])
        questions = ask_concepts(self._lm.vocabulary, held, document)
        return {
            place: answer(questions, found.means, document) for place, found in self.means.items()
        }

    def _cut(self) -> list[Sentence]:
        widths = sum(sae.config.d_sae for sae in self._saes.values())
        cells = max(widths, len(self._lm.vocabulary) // PRESENCE_PER_MEAN, 1)
        most = min(PASSAGES, PASSAGE_CELLS // cells)
        if not self._saes or most < FEWEST_PASSAGES:
            return []
        last = len(self._windows) - 1
        cut = cut_passages(self._lm, self._windows[::-1], most, SENTENCES_EACH)
        return [span._replace(window=last - span.window) for span in cut]

    def _read_early(self) -> None:
        early = [self.spans[index] for index in self._early]
        for layer in sorted(set(self._layers.values())) if early else ():
            places = [place for place, other in self._layers.items() if other == layer]
            saes = [self._saes[place] for place in places]
            found = mean_activations(self._lm, layer, saes, self._windows, early)
            for place, means in zip(places, found, strict=True):
                self.means[place].means[self._early] = means
        self._early = []
