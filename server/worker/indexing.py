"""Index several SAEs of one model in one pass, in stages, and publish after each.

The common part of the index, train and demo tasks. A pass that was killed goes on from what it had
kept (see `kept_pass`). Knows nothing of runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from models.heap import give_back
from models.index.indexer import Indexer, run_index
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.weights_mark import weights_mark
from server.store.session import Database
from server.worker.index_writer import publish
from server.worker.kept_pass import KeptPass
from server.worker.library import Corpus
from server.worker.opposing import find_opposition, is_shown, shows_opposition, write_opposition
from server.worker.passages import Passages
from server.worker.progress import Progress, RunInterrupted, TaskContext, TaskFailed
from server.worker.runs import is_alone
from server.worker.signs import read_flips, settle_signs


@dataclass(frozen=True)
class Target:
    """One SAE to index; `axis_labels` are the (−, +) names of Difference-in-Mean axes.

    `mark` identifies its weights' file; `flips` are its canonical signs, None before the first index.
    """

    sae_id: int
    name: str
    sae: SparseAutoencoder
    layer: int
    axis_labels: list[tuple[str, str]] | None = None
    mark: str = ""
    flips: bytes | None = None


class Indexing:
    """The growing indexes of several targets over one corpus.

    With a `context`, what an earlier attempt has kept is used, and something is kept for a later one.
    """

    def __init__(
        self,
        database: Database,
        lm: LanguageModel,
        targets: Sequence[Target],
        corpus: Corpus,
        context: TaskContext | None = None,
    ) -> None:
        self.database = database
        self.lm = lm
        self.targets = list(targets)
        self.corpus = corpus
        self.context = context
        for target in targets:
            target.sae.to(lm.device)
        self.indexers = [Indexer(target.sae, target.layer) for target in targets]
        self.published: dict[int, int] = {}
        self.opposed: set[int] = set()  # those published with their opposition
        self._weights = weights_mark(lm.model) if context else ""
        self.kept = self._find_kept()
        self.done = self.kept.restore(self.indexers) if self.kept else 0  # windows
        self.passages = self._find_passages(self.done, self.done)

    def advance(self, windows: int) -> Iterator[Progress]:
        """Read on until `windows` windows are indexed.

        Raises RunInterrupted, with everything kept, when the process is to end, and TaskFailed when
        the disk is full.
        """
        first = self.done
        self.passages = self._find_passages(first, windows)
        part = self.corpus.windows[first:windows]
        before, total = self.corpus.windows[:first].tokens, self.corpus.tokens
        for step in run_index(self.lm, self.indexers, part, first, self.passages.means):
            self.done = first + step.windows
            self._keep(self.done < windows)
            done = before + step.tokens
            yield Progress(done, total, f"indexed {done:,} of {total:,} tokens")

    def publish(self) -> Iterator[Progress]:
        """Show what is indexed so far, with concept scores from its passages.

        Where the index shown so far has its opposition, this one is shown only with its own.
        """
        self._settle_signs()
        tokens = self.corpus.windows[: self.done].tokens
        yield Progress(tokens, self.corpus.tokens, "looking for axes in single features")
        scores = self.passages.score()
        give_back()
        for place, (target, indexer) in enumerate(zip(self.targets, self.indexers, strict=True)):
            opposition = None
            if shows_opposition(self.database, target.sae_id):
                yield self._opposing(target)
                opposition = find_opposition(self.lm, indexer)
            yield Progress(tokens, self.corpus.tokens, f"writing the index of {target.name}")
            self.published[target.sae_id] = publish(
                self.database,
                self.lm,
                target.sae_id,
                indexer,
                self.corpus,
                self.done,
                scores.get(place, []),
                target.axis_labels,
                target.flips,
                opposition,
                self._is_alone(),
            )
            if opposition is not None:
                self.opposed.add(target.sae_id)
        self._move_kept()

    def oppose(self) -> Iterator[Progress]:
        """Add the opposition score to the indexes that are shown without it."""
        for target, indexer in zip(self.targets, self.indexers, strict=True):
            if target.sae_id in self.opposed:
                continue
            yield self._opposing(target)
            found = find_opposition(self.lm, indexer)
            index_id = self.published[target.sae_id]
            try:
                write_opposition(self.database, index_id, found)
            except ValueError:
                if is_shown(self.database, target.sae_id, index_id):
                    raise
                yield self._opposing(target, "was indexed again meanwhile, which is what is shown")
        if self.kept:
            self.kept.forget()

    def _opposing(self, target: Target, what: str = "") -> Progress:
        words = f"{target.name} {what}" if what else f"are the poles of {target.name} opposites?"
        return Progress(self.corpus.tokens, self.corpus.tokens, words)

    def _is_alone(self) -> bool:
        """Whether no other run is at work: half-written indexes are then what killed ones left."""
        context = self.context
        return context is not None and is_alone(
            self.database, context.settings.data_dir, context.run_id
        )

    def _settle_signs(self) -> None:
        """Give SAEs that are indexed for the first time their canonical signs."""
        for place, (target, indexer) in enumerate(zip(self.targets, self.indexers, strict=True)):
            if target.flips is None:
                flips = settle_signs(indexer)
                self.targets[place] = replace(target, flips=flips)
                if flips is not None:
                    self.passages.flip(place, read_flips(flips, indexer.sae.config.d_sae))

    def _find_passages(self, first: int, stop: int) -> Passages:
        saes = [(target.sae, target.layer) for target in self.targets]
        return Passages(self.lm, saes, self.corpus.windows[:stop], first)

    def _find_kept(self) -> KeptPass | None:
        if self.context is None:
            return None
        marks = [(each.mark, each.layer, each.flips) for each in self.targets]
        data_dir = self.context.settings.data_dir
        model = [self.lm.name, self._weights]
        return KeptPass(data_dir, [*model, self.corpus.fingerprint, marks])

    def _move_kept(self) -> None:
        """What is kept belongs to the signs just fixed."""
        old, self.kept = self.kept, self._find_kept()
        if old and self.kept and old.path != self.kept.path and old.path.is_file():
            self.kept.keep(self.indexers, self.done)
            old.forget()

    def _keep(self, is_unfinished: bool) -> None:
        """Save the pass now and then, and before the process ends."""
        if self.kept is None or self.context is None:
            return
        try:
            if is_unfinished and self.context.stopping.is_set():
                self.kept.keep(self.indexers, self.done)
                raise RunInterrupted("the indexing was interrupted; what it had read is kept")
            self.kept.keep_now_and_then(self.indexers, self.done, is_last=not is_unfinished)
        except OSError as error:
            raise TaskFailed(
                f"the index cannot be kept in {self.context.settings.data_dir} ({error.strerror or error}): "
                "free some space and index again; what was shown before is still shown"
            ) from error
