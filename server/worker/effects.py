"""What the worker answers about steering: shift, safe band, closed loop, sizes, contributions.

Plain functions on loaded models; knows nothing of HTTP or threads.
"""

from collections.abc import Generator

import torch

from models.effects.band import Limits, Strain, band_steps
from models.effects.contributions import contributions
from models.effects.loop import read_again
from models.effects.shift import Shift, next_token_shift, oddness
from models.language_model import LanguageModel
from server.protocol.effects import (
    BandLimits,
    BandRequest,
    BandResponse,
    Bar,
    ContributionsRequest,
    ContributionsResponse,
    Oddness,
    RereadRequest,
    RereadResponse,
    ShiftRequest,
    ShiftResponse,
    ShiftRow,
    Size,
    SizesRequest,
    SizesResponse,
    StrainRow,
    TokenShift,
)
from server.worker.shelf import Shelf
from server.worker.steering import edits_of, prompt_tokens


def shift(shelf: Shelf, request: ShiftRequest) -> ShiftResponse:
    """The next token at each strength of the first edit."""
    lm = shelf.model(request.model)
    prompt = prompt_tokens(lm, request.prompt, 1)
    rest = [edit.strength for edit in request.edits[1:]]
    edits = [
        edits_of(shelf, lm, request.edits, [strength, *rest]) for strength in request.strengths
    ]
    found = next_token_shift(lm, prompt, edits, request.positions)
    kl = found.kl.tolist()
    rows = [
        ShiftRow(
            strength=strength,
            kl=kl[place],
            promoted=_moved(lm, found, place, request.limit, largest=True),
            suppressed=_moved(lm, found, place, request.limit, largest=False),
        )
        for place, strength in enumerate(request.strengths)
    ]
    places = {strength: place for place, strength in enumerate(request.strengths)}
    pairs = [
        (size, float(oddness(found.change[place], found.change[places[-size]])))
        for size, place in sorted(places.items())
        if size > 0 and -size in places
    ]
    odd = [Oddness(size=size, value=None if value != value else value) for size, value in pairs]
    return ShiftResponse(rows=rows, oddness=odd)


def band(shelf: Shelf, request: BandRequest) -> Generator[None, None, BandResponse]:
    """Where each side of the slider stops being safe on this prompt; in steps of a token."""
    lm = shelf.model(request.model)
    prompt = prompt_tokens(lm, request.prompt, request.tokens)
    edit = edits_of(shelf, lm, [request.edit], [request.edit.strength])[0]
    limits = Limits()
    found = yield from band_steps(
        lm,
        prompt,
        edit,
        request.strengths,
        request.tokens,
        request.seed,
        request.temperature,
        limits,
        request.positions,
    )
    return BandResponse(
        low=found.low,
        high=found.high,
        rows=[_strain(lm, strain, found.unsteered) for strain in found.strains],
        limits=BandLimits(kl=limits.kl, loss=limits.loss, repetition=limits.repetition),
    )


def reread(shelf: Shelf, request: RereadRequest) -> RereadResponse:
    """A steered text read again."""
    lm = shelf.model(request.model)
    prompt = prompt_tokens(lm, request.prompt, len(request.token_ids))
    if max(request.token_ids) >= len(lm.vocabulary):
        raise ValueError(f"token_ids must be 0 to {len(lm.vocabulary) - 1} for {lm.name}")
    edits = edits_of(shelf, lm, request.edits, [edit.strength for edit in request.edits])
    found = read_again(lm, prompt, request.token_ids, edits, edits[0], request.positions)
    ids = [*prompt, *request.token_ids]
    special = set(lm.tokenizer.all_special_ids)
    return RereadResponse(
        tokens=[lm.vocabulary[token] for token in ids],
        special=[token in special for token in ids],
        written_from=len(prompt),
        reread=found.reread.tolist(),
        in_effect=found.in_effect.tolist(),
    )


def sizes(shelf: Shelf, request: SizesRequest) -> SizesResponse:
    """What strength 1 of each edit is beside the residual stream of this prompt."""
    lm = shelf.model(request.model)
    prompt = prompt_tokens(lm, request.prompt, 0)
    edits = edits_of(shelf, lm, request.edits, [edit.strength for edit in request.edits])
    hidden = lm.residuals(torch.tensor([prompt], device=lm.device), {edit.layer for edit in edits})
    first = 1 if lm.bos_token_id is not None and len(prompt) > 1 else 0
    return SizesResponse(
        sizes=[
            Size(
                layer=edit.layer,
                unit_norm=float(edit.direction.norm()) / edit.sae.config.input_scale,
                median_norm=float(hidden[edit.layer][0, first:].float().norm(dim=-1).median()),
            )
            for edit in edits
        ],
        tokens=len(prompt) - first,
    )


def contribute(shelf: Shelf, request: ContributionsRequest) -> ContributionsResponse:
    """± contributions of features to one token over another, behind a text."""
    record, sae = shelf.sae(request.sae)
    lm = shelf.model(record.model_id)
    ids = prompt_tokens(lm, request.text, 0)
    wanted, other = (_one_token(lm, text) for text in (request.wanted, request.other))
    found = contributions(lm, sae, record.layer, ids, wanted, other)
    tokens = torch.tensor(ids, device=lm.device)
    hidden = lm.residual(tokens[None], record.layer)[0, -1:].float()
    code = sae.encode(hidden, tokens[-1:])[0]
    order = found.features.abs().argsort(descending=True, stable=True)[: request.limit].tolist()
    bars = [
        Bar(
            feature=feature,
            activation=float(code[feature]),
            contribution=float(found.features[feature]),
        )
        for feature in order
        if found.features[feature] != 0
    ]
    return ContributionsResponse(
        wanted=lm.vocabulary[wanted],
        other=lm.vocabulary[other],
        bars=bars,
        rest=float(found.features.sum()) - sum(bar.contribution for bar in bars),
        error=found.error,
        bias=found.bias,
        later=found.later,
        total=found.total,
    )


def _moved(
    lm: LanguageModel, found: Shift, place: int, limit: int, largest: bool
) -> list[TokenShift]:
    """The tokens whose probability rose (fell) most."""
    steered = found.log_probabilities[place].exp()
    change = steered - found.unsteered.exp()
    best = change.topk(limit, largest=largest).indices.tolist()
    return [
        TokenShift(
            token=lm.vocabulary[token],
            token_id=token,
            probability=float(steered[token]),
            change=float(found.change[place, token]),
        )
        for token in best
        if (change[token] > 0) == largest and change[token] != 0
    ]


def _strain(lm: LanguageModel, strain: Strain, unsteered: Strain) -> StrainRow:
    return StrainRow(
        strength=strain.strength,
        kl=strain.kl,
        loss=strain.loss,
        loss_rise=strain.loss - unsteered.loss,
        repetition=strain.repetition,
        text=str(lm.tokenizer.decode(strain.tokens, skip_special_tokens=True)),
        is_safe=strain.is_safe,
    )


def _one_token(lm: LanguageModel, text: str) -> int:
    """The id of a text that is one token: a word as it stands behind a space, else as it is.

    Raises ValueError on several tokens.
    """
    for form in (f" {text}", text) if text[0].isalnum() else (text,):
        ids = lm.tokenizer(form, add_special_tokens=False)["input_ids"]
        if len(ids) == 1:
            return ids[0]
    pieces = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    raise ValueError(
        f"{text!r} is {len(pieces)} tokens to {lm.name}: give a word that is one, such as "
        f"{lm.vocabulary[pieces[0]]!r}"
    )
