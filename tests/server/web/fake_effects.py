"""What the fake worker says about steering: plain arithmetic on the request, so that tests can expect it.

Strengths up to 3 are safe; beyond them − repeats itself and + is unlikely. Knows the messages only.
"""

from collections.abc import Callable
from typing import Any

from server.protocol import Message
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

SAFE = 3.0


def band(request: BandRequest) -> BandResponse:
    """Safe from the lowest strength above −3 to the highest below 3."""
    ordered = sorted({*request.strengths, 0.0})
    safe = [strength for strength in ordered if abs(strength) <= SAFE]
    rows = [
        StrainRow(
            strength=strength,
            kl=abs(strength) / 10,
            loss=2.0,
            loss_rise=2.5 if strength > SAFE else 0.0,
            repetition=0.5 if strength < -SAFE else 0.0,
            text=" a dog",
            is_safe=abs(strength) <= SAFE,
        )
        for strength in ordered
    ]
    limits = BandLimits(kl=4.0, loss=1.5, repetition=0.3)
    return BandResponse(low=safe[0], high=safe[-1], rows=rows, limits=limits)


def shift(request: ShiftRequest) -> ShiftResponse:
    """KL = c²; + makes ` she` likelier and ` he` less likely, − the reverse."""

    def words(strength: float, sign: int) -> list[TokenShift]:
        word = " she" if strength * sign > 0 else " he"
        return [TokenShift(token=word, token_id=1, probability=0.5, change=sign * abs(strength))]

    rows = [
        ShiftRow(
            strength=strength,
            kl=strength**2,
            promoted=words(strength, 1) if strength else [],
            suppressed=words(strength, -1) if strength else [],
        )
        for strength in request.strengths
    ]
    sizes = sorted({c for c in request.strengths if c > 0 and -c in request.strengths})
    return ShiftResponse(rows=rows, oddness=[Oddness(size=size, value=0.75) for size in sizes])


def reread(request: RereadRequest) -> RereadResponse:
    """Every written token has half of the first edit's strength; in effect it has all of it."""
    strength = request.edits[0].strength
    count = len(request.token_ids)
    return RereadResponse(
        tokens=["<|endoftext|>", "Once", *(f" w{token}" for token in request.token_ids)],
        special=[True, False, *[False] * count],
        written_from=2,
        reread=[0.0, 0.0, *[strength / 2] * count],
        in_effect=[0.0, 0.0, *[strength] * count],
    )


def sizes(request: SizesRequest) -> SizesResponse:
    """Strength 1 adds 2, and the residual stream is 8 long."""
    return SizesResponse(
        sizes=[Size(layer=1, unit_norm=2.0, median_norm=8.0) for _ in request.edits], tokens=3
    )


def contributions(request: ContributionsRequest) -> ContributionsResponse:
    """Two features against each other, and the parts that make the sum."""
    return ContributionsResponse(
        wanted=f" {request.wanted}",
        other=f" {request.other}",
        bars=[
            Bar(feature=0, activation=2.0, contribution=1.5),
            Bar(feature=1, activation=-1.0, contribution=-0.5),
        ],
        rest=0.25,
        error=-0.125,
        bias=0.125,
        later=0.75,
        total=2.0,
    )


ANSWERS: dict[str, Callable[[Any], Message]] = {
    "/band": band,
    "/shift": shift,
    "/reread": reread,
    "/sizes": sizes,
    "/contributions": contributions,
}
