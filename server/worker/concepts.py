"""What the worker answers about a concept: who tells A from B, and what steering by them does.

Generators on loaded models, in steps between which others use the device; knows nothing of HTTP
or threads.
"""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from models.concepts.choose import Chosen, choose_for_steering
from models.concepts.contrasts import load_contrasts
from models.concepts.effect import cut_prompts, distinctive_words, effect_steps
from models.concepts.probe import Auc, Pair, Probe, probe, read_texts
from models.concepts.safety import Judged, wear_steps
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.weights_mark import weights_mark
from server.protocol.concepts import (
    AucFigure,
    ConceptRequest,
    ConceptResponse,
    DimFound,
    EffectRow,
    PairFound,
    SingleFound,
    SteeringFound,
)
from server.store.saes import SaeRecord
from server.worker.asked_before import AskedBefore
from server.worker.shelf import Shelf

FOLDER = "concepts"
VERSION = 1
"""Of how the answer is found: whoever changes a figure in it counts up, so that kept ones are not shown."""


class Concepts:
    """Answers that were given already: a page and its downloads say the same, and a question asked again waits for nobody."""

    def __init__(self, folder: Path | None = None) -> None:
        self._asked = AskedBefore(ConceptResponse, folder)

    def steps(
        self, shelf: Shelf, request: ConceptRequest
    ) -> Generator[None, None, ConceptResponse]:
        """`find_concept`, or what it answered before about the same texts, SAE and model."""
        record, _ = shelf.sae(request.sae)
        marks = _marks(record, shelf.model(record.model_id), request)
        answer = yield from self._asked.steps(marks, lambda: find_concept(shelf, request))
        return answer.model_copy(update={"sae": record.id})


def _marks(record: SaeRecord, lm: LanguageModel, request: ConceptRequest) -> list[object]:
    """All that an answer depends on: weights, the signs of the features, the texts themselves."""
    flips = record.flips.hex() if record.flips is not None else None
    sides = find_sides(request.contrast, request.a, request.b)
    where = [record.layer, weights_mark(lm.model), lm.device.type]
    return [VERSION, record.sha256, flips, *where, request.steer, *sides]


def find_concept(shelf: Shelf, request: ConceptRequest) -> Generator[None, None, ConceptResponse]:
    """Choose on train texts, score on the rest, steer by all three at equal ‖Δh‖.

    Raises ValueError on an unknown contrast or too few texts.
    """
    record, sae = shelf.sae(request.sae)
    lm = shelf.model(record.model_id)
    names, a, b, is_train = find_sides(request.contrast, request.a, request.b)
    texts = read_texts(lm, sae, record.layer, a, b, is_train=is_train)
    yield
    found = probe(texts, sae.config.is_signed)
    split = texts.is_train.tolist()
    every = [*a, *b]
    train_a = [text for text, trains in zip(a, split, strict=False) if trains]
    train_b = [text for text, trains in zip(b, split[len(a) :], strict=True) if trains]
    held_out = [text for text, trains in zip(every, split, strict=True) if not trains]
    words = distinctive_words(lm, train_a, train_b)
    prompts = cut_prompts(lm, held_out, words)
    training = cut_prompts(lm, [*train_a, *train_b], words)
    chosen, effects, wear, problem = None, [], {}, ""
    if request.steer:
        try:
            chosen = yield from choose_for_steering(lm, sae, record.layer, training, words)
            directions = directions_of(sae, found, chosen)
            effects = yield from effect_steps(lm, record.layer, directions, prompts, words)
            wear = yield from wear_steps(lm, record.layer, directions, prompts)
        except ValueError as error:
            effects, wear, problem = [], {}, str(error)  # no effect without its cost
    return ConceptResponse(
        sae=record.id,
        side_a=names[0],
        side_b=names[1],
        texts=len(every),
        train_texts=sum(split),
        single=SingleFound(
            feature=found.single.feature,
            sign=found.single.sign,
            train_auc=found.single.train_auc,
            auc=_auc(found.single.auc),
            both_signs=found.single.both_signs,
        ),
        steering=None
        if chosen is None
        else SteeringFound(feature=chosen.feature, sign=chosen.sign, effect=chosen.effect),
        pair=_pair(found.pair),
        dim=DimFound(
            train_auc=found.dim.train_auc,
            auc=_auc(found.dim.auc),
            cosine_to_single=float(
                found.single.sign * sae.W_dec[found.single.feature].cpu() @ found.dim.direction
            ),
        ),
        null_95=found.null_95,
        words_a=[lm.vocabulary[token] for token in words.a],
        words_b=[lm.vocabulary[token] for token in words.b],
        prompts=len(prompts),
        effects=[_row(Judged(effect, wear[effect.name])) for effect in effects],
        problem=problem,
    )


def directions_of(sae: SparseAutoencoder, found: Probe, chosen: Chosen) -> dict[str, torch.Tensor]:
    """What each way pushes along, A positive: d of the feature, d_a − d_b of the pair, v of DiM."""
    rows = sae.W_dec.detach().cpu().float()
    pair = found.pair
    ends = [
        rows[f] * (1 if p == "+" else -1) for f, p in ((pair.a, pair.pole_a), (pair.b, pair.pole_b))
    ]
    return {
        "single": found.single.sign * rows[found.single.feature],
        "steering": chosen.sign * rows[chosen.feature],
        "pair": ends[0] - ends[1],
        "dim": found.dim.direction,
    }


class Sides(NamedTuple):
    """Two lists of texts, what they are called, and which train (None: the first half of each)."""

    names: tuple[str, str]
    a: list[str]
    b: list[str]
    is_train: list[bool] | None


def find_sides(name: str | None, a: Sequence[str], b: Sequence[str]) -> Sides:
    """The texts of a built-in contrast, or these. Raises ValueError on an unknown contrast."""
    if name is None:
        return Sides(("A", "B"), list(a), list(b), None)
    contrasts = load_contrasts()
    if name not in contrasts:
        raise ValueError(f"no built-in contrast {name!r}: there are {', '.join(contrasts)}")
    contrast = contrasts[name]
    train, test = contrast.pairs("train"), contrast.pairs("test")
    flags = [True] * len(train) + [False] * len(test)
    return Sides(
        (contrast.side_a, contrast.side_b),
        [pair.a for pair in (*train, *test)],
        [pair.b for pair in (*train, *test)],
        flags + flags,
    )


def _auc(auc: Auc) -> AucFigure:
    return AucFigure(value=auc.value, low=auc.low, high=auc.high, texts=auc.texts)


def _pair(pair: Pair) -> PairFound:
    return PairFound(
        a=pair.a,
        pole_a="+" if pair.pole_a == "+" else "-",
        b=pair.b,
        pole_b="+" if pair.pole_b == "+" else "-",
        train_auc=pair.train_auc,
        auc=_auc(pair.auc),
    )


def _row(judged: Judged) -> EffectRow:
    effect, wear = judged.effect, judged.wear
    return EffectRow.model_validate(
        {
            "way": effect.name,
            "shares": list(effect.shares),
            "log_odds": effect.log_odds,
            "loss_rise": effect.loss_rise,
            "kl": effect.kl,
            "written_loss_rise": [each.loss for each in wear],
            "repetition_rise": [each.repetition for each in wear],
            "safe": judged.safe,
            "is_monotonic": judged.is_monotonic,
        }
    )
