"""Index several SAEs of one model in one pass, in stages, and publish after each.

The common part of the index, train and demo tasks. Knows nothing of runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.concepts.score import ConceptScore, answer, ask_concepts
from models.concepts.sentences import Sentence, cut_passages, mean_activations, presence
from models.index.indexer import Indexer, run_index
from models.index.opposition import score_opposition
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from server.store.indexes import update_opposition
from server.store.session import Database
from server.worker.index_writer import publish
from server.worker.library import Corpus
from server.worker.progress import Progress

PASSAGES = 4_000
SENTENCES_EACH = 3
PASSAGE_CELLS = 100_000_000  # passages × latents held at once
FEWEST_PASSAGES = 400


@dataclass(frozen=True)
class Target:
    """One SAE to index; `axis_labels` are the (−, +) names of Difference-in-Mean axes."""

    sae_id: int
    name: str
    sae: SparseAutoencoder
    layer: int
    axis_labels: list[tuple[str, str]] | None = None


class Indexing:
    """The growing indexes of several targets over one corpus."""

    def __init__(
        self, database: Database, lm: LanguageModel, targets: Sequence[Target], corpus: Corpus
    ) -> None:
        self.database = database
        self.lm = lm
        self.targets = targets
        self.corpus = corpus
        self.indexers = [Indexer(target.sae, target.layer) for target in targets]
        self.done = 0  # windows
        self.published: dict[int, int] = {}

    def advance(self, windows: int) -> Iterator[Progress]:
        """Read on until `windows` windows are indexed."""
        part = self.corpus.windows[self.done : windows]
        before = sum(len(window.tokens) for window in self.corpus.windows[: self.done])
        for step in run_index(self.lm, self.indexers, part, first=self.done):
            done = before + step.tokens
            yield Progress(
                done, self.corpus.tokens, f"indexed {done:,} of {self.corpus.tokens:,} tokens"
            )
        self.done = windows

    def publish(self) -> Iterator[Progress]:
        """Show what is indexed so far, with concept scores from its passages."""
        tokens = sum(len(window.tokens) for window in self.corpus.windows[: self.done])
        yield Progress(tokens, self.corpus.tokens, "looking for axes in single features")
        every = self._score_concepts()
        for target, indexer, scores in zip(self.targets, self.indexers, every, strict=True):
            yield Progress(tokens, self.corpus.tokens, f"writing the index of {target.name}")
            self.published[target.sae_id] = publish(
                self.database,
                self.lm,
                target.sae_id,
                indexer,
                self.corpus,
                self.done,
                scores,
                target.axis_labels,
            )

    def oppose(self) -> Iterator[Progress]:
        """Add the opposition score to the published indexes."""
        background = self.corpus.background(len(self.lm.vocabulary))
        for target, indexer in zip(self.targets, self.indexers, strict=True):
            yield Progress(
                self.corpus.tokens, self.corpus.tokens, f"are the poles of {target.name} opposites?"
            )
            result = score_opposition(
                self.lm, indexer, self.corpus.windows[: self.done], background
            )
            values = [(i, None if np.isnan(v) else float(v)) for i, v in enumerate(result.score)]
            summary = {
                "null_95": None if np.isnan(result.null_95) else result.null_95,
                "draws": result.draws,
                "beating": result.beating,
            }
            with self.database.write() as session:
                update_opposition(session, self.published[target.sae_id], values, summary)

    def _score_concepts(self) -> list[list[ConceptScore]]:
        """Per target, the built-in concepts that the indexed text can answer.

        One-sided SAEs are not asked: none of their codes is ever negative.
        """
        # From the end: the demo's recipe was chosen on passages from the beginning.
        windows = self.corpus.windows[: self.done][::-1]
        widest = max(target.sae.config.d_sae for target in self.targets)
        most = min(PASSAGES, PASSAGE_CELLS // widest)
        passages: list[Sentence] = []
        if most >= FEWEST_PASSAGES:
            passages = cut_passages(self.lm, windows, most, SENTENCES_EACH)
        if not passages:
            return [[] for _ in self.targets]
        held = presence(len(self.lm.vocabulary), windows, passages)
        document = np.array([passage.document for passage in passages])
        questions = ask_concepts(self.lm.vocabulary, held, document)
        scores: list[list[ConceptScore]] = [[] for _ in self.targets]
        signed = [place for place, target in enumerate(self.targets) if target.sae.config.is_signed]
        for layer in sorted({self.targets[place].layer for place in signed}):
            chosen = [place for place in signed if self.targets[place].layer == layer]
            saes = [self.targets[place].sae for place in chosen]
            means = mean_activations(self.lm, layer, saes, windows, passages)
            for place, mean in zip(chosen, means, strict=True):
                scores[place] = [answer(question, mean, document) for question in questions]
        return scores
