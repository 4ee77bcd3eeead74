"""A feature's contexts for explaining it: those of the index, and random ones with true activations.

Knows the store and the models; asks nobody.
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
from server.store.saes import SaeRecord

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
