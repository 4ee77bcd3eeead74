"""Sentences of a corpus, their mean signed activations, and which words they hold.

Knows nothing of concepts: it only cuts, counts and averages.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from models.activations import window_activations
from models.corpus import Window
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

ENDINGS = (".", "!", "?", '."', '!"', '?"')
SHORTEST, LONGEST = 4, 60  # tokens


class Sentence(NamedTuple):
    """A stretch of one window: tokens `start` up to `stop` (BOS is never part)."""

    window: int
    document: int
    start: int
    stop: int


def cut_passages(
    lm: LanguageModel, windows: Sequence[Window], most: int, sentences: int
) -> list[Sentence]:
    """Up to `most` passages of `sentences` neighbouring sentences each, none shared by two."""
    whole = cut_sentences(lm, windows, most * sentences * 2)
    passages: list[Sentence] = []
    group: list[Sentence] = []
    for sentence in whole:
        if group and (sentence.window != group[-1].window or sentence.start != group[-1].stop):
            group = []
        group.append(sentence)
        if len(group) == sentences:
            first = group[0]
            passages.append(Sentence(first.window, first.document, first.start, sentence.stop))
            group = []
    return passages[:most]


def cut_sentences(lm: LanguageModel, windows: Sequence[Window], most: int) -> list[Sentence]:
    """Up to `most` sentences of SHORTEST to LONGEST tokens, in the order of the windows."""
    ends = {index for index, text in enumerate(lm.vocabulary) if text.strip().endswith(ENDINGS)}
    breaks = ends | {index for index, text in enumerate(lm.vocabulary) if "\n" in text}
    sentences: list[Sentence] = []
    for number, window in enumerate(windows):
        start = 1
        for place, token in enumerate(window.tokens[1:].tolist(), start=1):
            if token in breaks:
                if SHORTEST <= place + 1 - start <= LONGEST:
                    sentences.append(Sentence(number, window.document, start, place + 1))
                start = place + 1
        if len(sentences) >= most:
            return sentences[:most]
    return sentences


@torch.inference_mode()
def mean_activations(
    lm: LanguageModel,
    layer: int,
    saes: Sequence[SparseAutoencoder],
    windows: Sequence[Window],
    spans: Sequence[Sentence],
) -> list[np.ndarray]:
    """Per SAE, float32 [spans, d_sae]: the mean signed code over each span's tokens."""
    means = [np.zeros((len(spans), sae.config.d_sae), dtype=np.float32) for sae in saes]
    by_window: dict[int, list[int]] = {}
    for index, span in enumerate(spans):
        by_window.setdefault(span.window, []).append(index)
    used = sorted(by_window)
    for batch, residual in window_activations(lm, layer, [windows[number] for number in used]):
        for row, place in enumerate(batch):
            tokens = torch.from_numpy(windows[used[place]].tokens.astype(np.int64))
            x = residual[row, : len(tokens)].float()
            for mean, sae in zip(means, saes, strict=True):
                code = sae.encode(x, tokens).cpu().numpy()
                for index in by_window[used[place]]:
                    mean[index] = code[spans[index].start : spans[index].stop].mean(0)
    return means


def presence(
    vocabulary: int, windows: Sequence[Window], sentences: Sequence[Sentence]
) -> torch.Tensor:
    """Which tokens each sentence holds: bool [sentences, vocabulary]."""
    held = torch.zeros(len(sentences), vocabulary, dtype=torch.bool)
    for index, sentence in enumerate(sentences):
        tokens = windows[sentence.window].tokens[sentence.start : sentence.stop]
        held[index, torch.from_numpy(tokens.astype(np.int64))] = True
    return held
