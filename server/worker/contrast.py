"""Two texts, or two lists of texts, set against each other: which features change sign.

Plain functions on loaded models; knows nothing of HTTP or threads.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from server.protocol import MAX_PROMPT_TOKENS, ContrastFeature, ContrastRequest, ContrastResponse
from server.worker.shelf import Shelf


@torch.inference_mode()
def contrast(shelf: Shelf, request: ContrastRequest) -> ContrastResponse:
    """Features by their mean signed activation on side A and side B.

    A minimal pair is compared from its first differing token on: before it a causal model sees
    the same text. Raises ValueError on a text that is empty or too long.
    """
    record, sae = shelf.sae(request.sae)
    lm = shelf.model(record.model_id)
    sides = [[_tokens(lm, text) for text in texts] for texts in (request.a, request.b)]
    codes = [[_code(lm, sae, record.layer, ids) for ids in side] for side in sides]
    start = _first_difference(*(side[0] for side in sides)) if request.mode == "pair" else 1
    mean_a, mean_b = (_mean(side, start) for side in codes)
    first_a, first_b = codes[0][0], codes[1][0]
    opposite = mean_a * mean_b < 0
    score = torch.where(opposite, torch.minimum(mean_a.abs(), mean_b.abs()) * mean_a.sign(), 0.0)
    difference = torch.where(opposite, 0.0, (mean_a - mean_b).abs())
    flipped = _flipped(score, request)
    changed = [f for f in _largest(difference, request.limit) if difference[f] > 0]

    def shown(feature: int) -> ContrastFeature:
        return ContrastFeature(
            feature=feature,
            mean_a=float(mean_a[feature]),
            mean_b=float(mean_b[feature]),
            score=float(score[feature]),
            activations_a=first_a[:, feature].tolist(),
            activations_b=first_b[:, feature].tolist(),
        )

    vocabulary = lm.vocabulary
    return ContrastResponse(
        sae=record.id,
        tokens_a=[vocabulary[token] for token in sides[0][0]],
        tokens_b=[vocabulary[token] for token in sides[1][0]],
        first_difference=start,
        flipped=[shown(feature) for feature in flipped],
        changed=[shown(feature) for feature in changed],
    )


def _flipped(score: Tensor, request: ContrastRequest) -> list[int]:
    """A pair: largest |score| first. Ends: from + on A down to + on B, half of the limit each.

    Ties go to the lower number on the one side and to the higher on the other, so that swapping
    A and B reverses the order exactly.
    """
    if request.mode == "pair":
        return [f for f in _largest(score.abs(), request.limit) if score[f] != 0]
    half = -(-request.limit // 2)
    order = sorted(
        torch.nonzero(score).flatten().tolist(),
        key=lambda f: (-float(score[f]), f * _sign(score[f])),
    )
    plus = [feature for feature in order if score[feature] > 0][:half]
    minus = [feature for feature in order if score[feature] < 0][-half:]
    return plus + minus


def _sign(value: Tensor) -> int:
    return 1 if value > 0 else -1


def _largest(key: Tensor, limit: int) -> list[int]:
    return key.argsort(descending=True, stable=True)[:limit].tolist()


def _first_difference(a: Sequence[int], b: Sequence[int]) -> int:
    """The first place at which two texts differ; their length where neither does."""
    for place, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return place
    return min(len(a), len(b)) if len(a) != len(b) else len(a)


def _mean(codes: Sequence[Tensor], start: int) -> Tensor:
    """The mean over texts of each text's mean signed activation from `start` on."""
    means = [
        code[start:].mean(0) if len(code) > start else code.new_zeros(code.shape[1])
        for code in codes
    ]
    return torch.stack(means).mean(0)


def _code(lm: LanguageModel, sae: SparseAutoencoder, layer: int, ids: Sequence[int]) -> Tensor:
    """Signed codes [position, d_sae]; position 0, the attention sink, carries 0."""
    tokens = torch.tensor([list(ids)])
    code = sae.encode(lm.residual(tokens, layer)[0].float(), tokens[0].to(lm.device)).cpu()
    code[0] = 0
    return code


def _tokens(lm: LanguageModel, text: str) -> list[int]:
    ids = lm.tokenize(text)
    if len(ids) < 2:
        raise ValueError(f"the text {text[:40]!r} yields no token to compare: type more")
    most = min(MAX_PROMPT_TOKENS, lm.context)
    if len(ids) > most:
        raise ValueError(
            f"a text has {len(ids)} tokens, but at most {most} fit {lm.name}: shorten it"
        )
    return ids
