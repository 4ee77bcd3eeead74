"""Contrasts, word sets, the search for an axis in a single latent and its null."""

import re

import numpy as np
import pytest
import torch

from models.concepts.axes import axes_as_sae, make_axis
from models.concepts.contrasts import load_contrasts
from models.concepts.score import ConceptScore, answer, ask
from models.concepts.sentences import cut_sentences, mean_activations, presence
from models.concepts.word_sets import load_word_sets, token_sets
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder


@pytest.mark.parametrize("name", load_contrasts())
def test_pairs_differ_and_splits_share_no_sentence(name: str) -> None:
    contrast = load_contrasts()[name]
    train, test = contrast.pairs("train"), contrast.pairs("test")
    assert len({(pair.a, pair.b) for pair in train + test}) >= 200
    assert all(pair.a != pair.b for pair in train + test)
    sentences = [{text for pair in split for text in (pair.a, pair.b)} for split in (train, test)]
    assert not sentences[0] & sentences[1]
    assert not {pair.filler for pair in train} & {pair.filler for pair in test}
    assert "{" not in "".join(sentences[0] | sentences[1])


@pytest.mark.parametrize("name", load_contrasts())
def test_no_article_stands_wrong_before_a_vowel(name: str) -> None:
    pairs = [pair for split in ("train", "test") for pair in load_contrasts()[name].pairs(split)]
    wrong = [
        text for pair in pairs for text in (pair.a, pair.b) if re.search(r"\b[Aa] [aeiou]", text)
    ]
    assert not wrong


def test_the_sides_of_a_word_set_share_no_word() -> None:
    for item in load_word_sets():
        assert not set(item.a) & set(item.b), item.name


def test_token_sets_ignore_space_and_case() -> None:
    assert token_sets(["she", " She", "SHE ", " the", "sh"], ["she"]) == [0, 1, 2]


def planted(strength: float, seed: int = 0) -> tuple[np.ndarray, torch.Tensor, np.ndarray]:
    """1,200 sentences over 200 words; words 0–4 are side A, 5–9 side B; latent 3 follows the side."""
    random = np.random.default_rng(seed)
    held = torch.from_numpy(random.random((1_200, 200)) < 0.03)
    held[:, :10] = False
    side = random.choice([-1, 1], 1_200)
    for row, sign in enumerate(side):
        held[row, random.integers(0, 5) + (0 if sign > 0 else 5)] = True
    means = random.normal(size=(1_200, 20)).astype(np.float32)
    means[:, 3] -= strength * side  # side A is the − pole
    return means, held, np.arange(1_200) // 6


def score(means: np.ndarray, held: torch.Tensor, document: np.ndarray) -> ConceptScore | None:
    question = ask("planted", held, document, range(5), range(5, 10), range(10))
    return None if question is None else answer([question], means, document)[0]


def test_a_planted_axis_is_found_with_its_sign_and_beats_its_null() -> None:
    means, held, document = planted(strength=3.0)
    found = score(means, held, document)
    assert found is not None
    assert (found.feature, found.sign) == (3, -1)
    assert found.both_signs > 0.95
    assert found.auc > 0.99
    assert found.null_95 < 0.75
    assert found.p_value < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_a_score_equals_plain_counts_over_every_latent_and_both_signs(seed: int) -> None:
    means, held, document = planted(strength=0.4, seed=seed)
    found = score(means, held, document)
    assert found is not None
    has_a, has_b = held[:, :5].any(1).numpy(), held[:, 5:10].any(1).numpy()
    only_a, only_b, is_test = has_a & ~has_b, has_b & ~has_a, document % 2 == 1

    def share(sign: int, feature: int, rows: np.ndarray) -> float:
        turned = sign * means[:, feature]
        return min(np.mean(turned[rows & only_a] > 0), np.mean(turned[rows & only_b] < 0))

    choices = [(sign, feature) for sign in (1, -1) for feature in range(means.shape[1])]
    sign, feature = max(choices, key=lambda choice: share(*choice, ~is_test))
    assert (found.sign, found.feature) == (sign, feature)
    assert found.both_signs == pytest.approx(share(sign, feature, is_test), abs=1e-6)
    a, b = (sign * means[is_test & side, feature] for side in (only_a, only_b))
    above = a[:, None] - b
    assert found.auc == pytest.approx(np.mean(above > 0) + np.mean(above == 0) / 2)
    assert found.pairs == len(a) + len(b)


def test_no_axis_does_not_beat_its_null() -> None:
    p_values = []
    for seed in range(8):
        means, held, document = planted(strength=0.0, seed=seed)
        found = score(means, held, document)
        assert found is not None
        p_values.append(found.p_value)
    assert sum(p < 0.05 for p in p_values) <= 2


def test_too_few_sentences_give_no_score() -> None:
    means, held, document = planted(strength=3.0)
    assert score(means[:40], held[:40], document[:40]) is None


def test_sentence_means_are_means_of_the_codes(lm: LanguageModel, windows) -> None:
    sae = SparseAutoencoder(SAEConfig(32, 24, "abstopk", 4))
    sae.initialise(torch.Generator().manual_seed(0))
    sentences = cut_sentences(lm, windows, 30)
    assert sentences
    assert all(sentence.start >= 1 for sentence in sentences)
    (means,) = mean_activations(lm, 1, [sae.eval()], windows, sentences)
    chosen = sentences[7]
    tokens = torch.from_numpy(windows[chosen.window].tokens[None].astype(np.int64))
    codes = sae.encode(lm.residual(tokens, 1)[0])[chosen.start : chosen.stop]
    np.testing.assert_allclose(means[7], codes.mean(0).detach().numpy(), atol=1e-4)
    held = presence(len(lm.vocabulary), windows, sentences)
    assert held[7].sum() == len(
        set(windows[chosen.window].tokens[chosen.start : chosen.stop].tolist())
    )


def test_an_axis_is_the_difference_of_means_and_reads_zero_at_the_centre(lm: LanguageModel) -> None:
    axis = make_axis(lm, 1, load_contrasts()["gender"])
    assert axis.direction.norm() == pytest.approx(1.0, abs=1e-5)
    centre = torch.randn(32)
    sae = axes_as_sae([axis], centre, mean_square=10.0)
    assert sae.encode(centre[None]).item() == pytest.approx(0.0, abs=1e-4)
    assert sae.encode((centre + 2 * axis.direction)[None]).item() == pytest.approx(
        2 * 3.2**0.5, abs=1e-4
    )
