"""Does the opposition score know opposites from strangers? Planted features, and seven concepts.

    python benchmarks/opposition.py --others --json opposition.json

An AbsTopK dictionary is planted in the language model: feature (a, b) is mean(h | a) − mean(h | b) of
two words. (a) Pairs of antonyms, beside the same words with their poles shuffled between features and
beside random pairs of words, both matched in frequency. (b) Word pairs of the seven built-in concepts,
and how often an axis made from a concept's other pairs gives a held-out pair the right sign. Then the
demo's SAEs. --others scores the definitions that were tried and left, on the same poles.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from opposition_others import ANTONYMS, OTHERS

from models.concepts.contrasts import load_contrasts
from models.corpus import Window, batch_windows, make_windows, pad, read_documents, take_tokens
from models.index.indexer import Indexer, run_index
from models.index.opposition import Opposition, score_opposition
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.checkpoint import load_sae

LEAST = 15  # occurrences of a word in the text
SHUFFLES = 5  # strangers per antonym pair
RANDOMS = 6  # random pairs per planted pair: the poles that the null draws from
NEAR = 10  # words of similar frequency that a stranger is drawn from
K = 16

Pair = tuple[int, int]


class Words(NamedTuple):
    """Mean activations of words, the mean of all tokens, and E‖x‖²."""

    means: dict[int, torch.Tensor]
    centre: torch.Tensor
    mean_square: float


def main() -> None:
    """Plant, index, score, print."""
    options = parse()
    lm = LanguageModel.load(options.model)
    windows = list(take_tokens(make_windows(lm, read_documents(options.text)), options.tokens))
    counts = np.bincount(
        np.concatenate([window.tokens[1:] for window in windows]), minlength=len(lm.vocabulary)
    )
    antonyms = known_pairs(lm, counts, [pair.split() for pair in ANTONYMS.split("|")])
    concepts = {name: known_pairs(lm, counts, pairs) for name, pairs in concept_pairs().items()}
    flat = [pair for pairs in concepts.values() for pair in pairs]
    barred = {token for pair in [*antonyms, *flat] for token in pair}
    random = np.random.default_rng(options.seed)
    randoms = [
        matched(random, counts, barred, pair) for pair in [*antonyms, *flat] for _ in range(RANDOMS)
    ]
    wanted = barred | {token for pair in randoms for token in pair}
    words = read_words(lm, options.layer, windows, wanted)
    shuffled = shuffle_poles(counts, antonyms)
    saes = {
        "opposites": plant(words, [*antonyms, *flat, *randoms]),
        "shuffled": plant(words, [*shuffled, *randoms]),
    } | {path.name: load_sae(path) for path in options.saes}
    indexers = {name: Indexer(sae, options.layer) for name, sae in saes.items()}
    for _ in run_index(lm, list(indexers.values()), windows):
        pass
    figures: dict[str, Any] = {
        "tokens": int(counts.sum()),
        "antonym pairs": len(antonyms),
        "shuffled pairs": len(shuffled),
        "random pairs": len(randoms),
    }
    results = {name: score_opposition(lm, each, counts) for name, each in indexers.items()}
    figures["chosen definition"] = compare(results, len(antonyms), len(shuffled), len(randoms))
    figures["concepts"] = by_concept(
        lm, results["opposites"], words, concepts, len(antonyms), randoms
    )
    figures["SAEs"] = {path.name: summary(results[path.name]) for path in options.saes}
    figures["axes"] = (
        dict(zip(options.axes, shown(results["axes"]), strict=True)) if "axes" in results else {}
    )
    if options.others:
        figures["definitions that were left"] = {
            name: compare(
                {which: score(lm, each, windows, counts) for which, each in indexers.items()},
                len(antonyms), len(shuffled), len(randoms),
            )
            for name, score in OTHERS.items()
        }  # fmt: skip
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def known_pairs(
    lm: LanguageModel, counts: np.ndarray, pairs: Sequence[Sequence[str]]
) -> list[Pair]:
    """Pairs whose words are single tokens that occur often enough, no word in two pairs."""
    token_of = {text: index for index, text in enumerate(lm.vocabulary)}
    found: list[Pair] = []
    for first, second in pairs:
        a, b = token_of.get(f" {first}"), token_of.get(f" {second}")
        if a is None or b is None or min(counts[a], counts[b]) < LEAST:
            continue
        if not {a, b} & {token for pair in found for token in pair}:
            found.append((a, b))
    return found


def concept_pairs() -> dict[str, list[tuple[str, str]]]:
    """The word pairs of the built-in contrasts: fillers and what goes with them."""
    return {
        name: sorted({
            (a[slot], b[slot]) for a, b in contrast.fillers for slot in a if a[slot] != b[slot]
        })
        for name, contrast in load_contrasts().items()
    }  # fmt: skip


def matched(random: np.random.Generator, counts: np.ndarray, barred: set[int], pair: Pair) -> Pair:
    """Two unrelated words of the same frequencies."""
    free = np.array([token for token in np.flatnonzero(counts >= LEAST) if token not in barred])
    chosen: list[int] = []
    for token in pair:
        rest = np.setdiff1d(free, chosen)
        near = rest[np.argsort(np.abs(np.log(counts[rest] / counts[token])), kind="stable")[:NEAR]]
        chosen.append(int(random.choice(near)))
    return chosen[0], chosen[1]


def shuffle_poles(counts: np.ndarray, pairs: Sequence[Pair]) -> list[Pair]:
    """Every + pole with the − poles of other pairs that are nearest in frequency to its own."""
    found = []
    for place, (a, b) in enumerate(pairs):
        others = [other for index, (_, other) in enumerate(pairs) if index != place]
        others.sort(key=lambda other: abs(np.log(counts[other] / counts[b])))
        found += [(a, other) for other in others[:SHUFFLES]]
    return found


def read_words(lm: LanguageModel, layer: int, windows: Sequence[Window], wanted: set[int]) -> Words:
    """The mean activation of every wanted token behind position 0."""
    total = torch.zeros(len(lm.vocabulary), lm.d_in, dtype=torch.float64)
    count, square = torch.zeros(len(lm.vocabulary), dtype=torch.float64), 0.0
    for batch in batch_windows(windows, 8_192):
        chosen = [windows[index] for index in batch]
        residual = lm.residual(torch.from_numpy(pad(chosen)), layer).double().cpu()
        for row, window in zip(residual, chosen, strict=True):
            tokens = torch.from_numpy(window.tokens[1:].astype(np.int64))
            hidden = row[1 : len(window.tokens)]
            total.index_add_(0, tokens, hidden)
            count.index_add_(0, tokens, torch.ones(len(tokens), dtype=torch.float64))
            square += float(hidden.square().sum())
    means = {token: (total[token] / count[token]).float() for token in wanted}
    return Words(means, (total.sum(0) / count.sum()).float(), square / float(count.sum()))


def plant(words: Words, pairs: Sequence[Pair]) -> SparseAutoencoder:
    """An AbsTopK SAE with one feature per pair, 0 at the mean of the text."""
    rows = torch.stack([words.means[a] - words.means[b] for a, b in pairs])
    rows = torch.nn.functional.normalize(rows, dim=-1)
    scale = (rows.shape[1] / words.mean_square) ** 0.5
    sae = SparseAutoencoder(SAEConfig(rows.shape[1], len(rows), "abstopk", K, input_scale=scale))
    with torch.no_grad():
        sae.W_dec.copy_(rows)
        sae.W_enc.copy_(rows.T)
        sae.b_enc.zero_()
        sae.b_dec.copy_(words.centre * scale)
    return sae.eval().requires_grad_(False)


def compare(
    results: dict[str, Opposition], antonyms: int, shuffled: int, randoms: int
) -> dict[str, Any]:
    """Antonyms against the same words shuffled, and against random pairs beside them."""
    scores = {name: result.score for name, result in results.items()}
    p_values = {name: result.p_value for name, result in results.items()}
    groups = {
        "antonyms": ("opposites", slice(0, antonyms)),
        "shuffled": ("shuffled", slice(0, shuffled)),
        "random": ("opposites", slice(-randoms, None)),
    }
    chosen = {name: scores[which][part] for name, (which, part) in groups.items()}
    shares = {name: p_values[which][part] for name, (which, part) in groups.items()}
    shares |= {name: p_values[name] for name in results if name not in ("opposites", "shuffled")}
    return {
        "AUC against shuffled": auc(chosen["antonyms"], chosen["shuffled"]),
        "AUC against random": auc(chosen["antonyms"], chosen["random"]),
        "mean score": {name: round(float(np.nanmean(each)), 2) for name, each in chosen.items()},
        "share with p < .05": {name: share(each) for name, each in shares.items()},
    }


def by_concept(
    lm: LanguageModel,
    result: Opposition,
    words: Words,
    concepts: dict[str, list[Pair]],
    first: int,
    randoms: Sequence[Pair],
) -> dict[str, Any]:
    """Per concept: its pairs' scores against the random pairs', and signs of held-out pairs."""
    figures = {}
    null = result.score[-len(randoms) :]
    for name, pairs in concepts.items():
        part = slice(first, first + len(pairs))
        first += len(pairs)
        figures[name] = {
            "pairs": [f"{lm.vocabulary[a]}/{lm.vocabulary[b]}" for a, b in pairs],
            "AUC against random": auc(result.score[part], null),
            "share with p < .05": share(result.p_value[part]),
            "held-out pairs with the right sign": held_out_signs(words, pairs),
            "the same of random pairs": random_signs(words, randoms, part),
        }
    return figures


def held_out_signs(words: Words, pairs: Sequence[Pair]) -> float | None:
    """How often the axis of all other pairs puts a pair's words the right way round (chance .5)."""
    if len(pairs) < 3:
        return None
    rows = torch.stack([words.means[a] - words.means[b] for a, b in pairs])
    units = torch.nn.functional.normalize(rows, dim=-1)
    rest = units.sum(0) - units
    return round(float(((rest * units).sum(-1) > 0).float().mean()), 3)


def random_signs(words: Words, randoms: Sequence[Pair], part: slice) -> float | None:
    """The same for random pairs of these pairs' frequencies, the mean of RANDOMS sets of them."""
    sets = [
        held_out_signs(words, randoms[part.start * RANDOMS : part.stop * RANDOMS][draw::RANDOMS])
        for draw in range(RANDOMS)
    ]
    known = [each for each in sets if each is not None]
    return round(float(np.mean(known)), 3) if known else None


def summary(result: Opposition) -> dict[str, Any]:
    """What an index says of itself."""
    scored = result.score[~np.isnan(result.score)]
    return {
        "scored": len(scored),
        "beating the null's 95 %": round(result.beating, 4),
        "share with p < .05": share(result.p_value),
        "mean score": round(float(scored.mean()), 2),
    }


def shown(result: Opposition) -> list[list[float]]:
    """Score and p of every feature."""
    pairs = zip(result.score.tolist(), result.p_value.tolist(), strict=True)
    return [[round(score, 2), round(p, 3)] for score, p in pairs]


def share(p_values: np.ndarray) -> float | None:
    """How many are below .05, among those that have one."""
    known = p_values[~np.isnan(p_values)]
    return round(float((known < 0.05).mean()), 4) if len(known) else None


def auc(better: np.ndarray, worse: np.ndarray) -> float | None:
    """P(one of the first above one of the second), ties half."""
    first, second = better[~np.isnan(better)], worse[~np.isnan(worse)]
    if not len(first) or not len(second):
        return None
    above = (first[:, None] > second[None]).mean() + (first[:, None] == second[None]).mean() / 2
    return round(float(above), 3)


def parse() -> argparse.Namespace:
    """Model, text and SAEs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    saes = [Path("models/demo/saes") / name for name in ("abstopk", "axes")]
    parser.add_argument("--model", default="models/demo/lm")
    parser.add_argument("--text", type=Path, default=Path("models/demo/stories.txt.gz"))
    parser.add_argument("--layer", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=None, help="the first so many (all)")
    parser.add_argument("--saes", type=Path, nargs="*", default=saes)
    parser.add_argument("--axes", nargs="*", default=["gender", "sentiment", "tense"])
    parser.add_argument("--seed", type=int, default=0, help="of the random pairs")
    parser.add_argument("--others", action="store_true", help="the definitions that were left, too")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
