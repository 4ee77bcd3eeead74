"""A feature's contexts for explaining it: those of the index, and random ones with true activations.

Knows the store and the models; asks nobody. An index that is published while features are explained
is the one that the next feature is read from.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from sqlalchemy.orm import Session

from models.explain.prompts import RADIUS, Snippet, cut
from models.explain.trial import Context, PoleContexts, divide
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from server.store.corpora import get_corpus, get_sequences
from server.store.feature_records import FeatureRecord
from server.store.features import get_feature
from server.store.indexes import list_indexes
from server.store.saes import SaeRecord
from server.worker.library import find_sae, open_sae, read_model
from server.worker.progress import TaskContext

RANDOM_CONTEXTS = 64


class RandomContexts(NamedTuple):
    """Stretches of the corpus drawn at random, and the codes of the wanted features on them."""

    tokens: list[tuple[str, ...]]
    documents: list[int]
    codes: list[np.ndarray]  # float32 [tokens, features] each
    features: dict[int, int]  # feature → column

    def of(self, feature: int) -> list[Context]:
        """The contexts with this feature's activations."""
        column = self.features[feature]
        return [
            Context(Snippet(tokens, tuple(code[:, column].tolist())), document, 0.0)
            for tokens, document, code in zip(self.tokens, self.documents, self.codes, strict=True)
        ]


class Basis(NamedTuple):
    """What random contexts hang on: another index may have another text or, seldom, other weights."""

    corpus_id: int
    sha256: str
    flips: bytes | None


class ContextSource:
    """Reads features of one SAE, each from the index that is the published one by then."""

    def __init__(self, context: TaskContext, sae_id: int, features: Sequence[int]) -> None:
        self._context = context
        self._sae_id = sae_id
        self._features = features
        self._basis: Basis | None = None
        self._random: RandomContexts | None = None

    def of(self, feature: int) -> dict[str, PoleContexts]:
        """The contexts of one of the features. Raises ValueError if the index does not hold it.

        Random ones are drawn for the first feature, and again when the text has changed.
        """
        with self._context.database.read() as session:
            record = find_sae(session, self._sae_id)
            found = get_feature(session, record, feature)
            indexes = list_indexes(session, record.id)
        if found is None:
            raise ValueError(f"the index of {record.name} does not hold feature {feature}")
        corpus_id = next(index.corpus_id for index in indexes if index.id == found.index_id)
        basis = Basis(corpus_id, record.sha256, record.flips)
        if self._random is None or basis != self._basis:
            self._random, self._basis = self._draw(record, corpus_id), basis
        return contexts_of(found, self._random)

    def _draw(self, record: SaeRecord, corpus_id: int) -> RandomContexts:
        lm = read_model(self._context.database, record.model)
        sae = open_sae(self._context.settings, record)
        with self._context.database.read() as session:
            return draw_contexts(session, record, corpus_id, lm, sae, self._features)


def contexts_of(record: FeatureRecord, random: RandomContexts) -> dict[str, PoleContexts]:
    """The contexts that a feature is explained from and tested on."""
    found = {
        pole: [
            Context(
                cut(context.tokens, context.activations, context.position),
                context.document,
                context.value,
            )
            for context in record.poles[pole].contexts
        ]
        for pole in ("+", "-")
    }
    return divide(found, random.of(record.feature))


@torch.inference_mode()
def draw_contexts(
    session: Session,
    sae_record: SaeRecord,
    corpus_id: int,
    lm: LanguageModel,
    sae: SparseAutoencoder,
    features: Sequence[int],
    seed: int = 0,
) -> RandomContexts:
    """Draw windows of the corpus and a place in each, and encode what stands around it."""
    corpus = get_corpus(session, corpus_id)
    assert corpus is not None, "an index has a corpus"
    random = np.random.default_rng(seed)
    count = min(RANDOM_CONTEXTS, corpus.windows)
    chosen = random.choice(corpus.windows, count, replace=False).tolist()
    windows = get_sequences(session, corpus_id, chosen)
    columns = torch.tensor(list(features), device=sae.W_dec.device)
    result = RandomContexts([], [], [], {feature: place for place, feature in enumerate(features)})
    for number in chosen:
        ids = torch.tensor(windows[number].token_ids)
        if len(ids) < 2:
            continue
        position = int(random.integers(1, len(ids)))
        first, last = max(1, position - RADIUS), position + RADIUS + 1
        residual = lm.residual(ids[None], sae_record.layer)[0, first:last].float()
        tokens = ids[first:last].to(residual.device)
        code = sae.encode(residual, tokens)[:, columns]
        result.tokens.append(tuple(lm.vocabulary[token] for token in tokens.tolist()))
        result.documents.append(windows[number].document)
        result.codes.append(code.cpu().numpy())
    return result
