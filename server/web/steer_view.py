"""The steering page's state: which features are steered, how their sliders are calibrated, the request.

Knows the store and the page's query; asks no worker.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from frontend.filters import pole_name
from server.protocol import Edit
from server.store.features import get_feature
from server.store.language_models import Vocabularies
from server.store.saes import SaeRecord, SaeSummary, list_saes
from server.web.contexts_steer import Slider, SteerColumn, SteerEdit
from server.web.deps import find_sae
from server.web.pages.prompt import choose
from server.web.steer_query import POLE_NAMES, POLES, SteerQuery, write_edit

REACH = 4
"""The slider's ends, in quantiles of a pole."""
FACTOR_REACH = 3
"""The ends of the slider of `scale`."""
EMPTY_POLE = {"label": "", "quantile_999": 0.0}
Poles = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Steered:
    """One edit with its SAE and the poles of its feature."""

    edit: Edit
    sae: SaeRecord
    poles: Poles


@dataclass(frozen=True)
class SteerState:
    """Everything the page and its twins start from."""

    query: SteerQuery
    saes: list[SaeSummary]
    sae: SaeRecord | None
    steered: list[Steered]
    problem: str

    @property
    def summary(self) -> SaeSummary | None:
        """The chosen SAE as the library lists it."""
        return next((entry for entry in self.saes if self.sae and entry.id == self.sae.id), None)

    def request(self) -> dict[str, Any] | None:
        """The body of `POST /api/steer` that writes this; None before a feature is chosen."""
        if not self.steered or self.sae is None:
            return None
        return {
            "model": self.sae.model_id,
            "prompt": self.query.prompt,
            "edits": [entry.edit.model_dump() for entry in self.steered],
            "max_new_tokens": self.query.tokens,
            "seed": self.query.seed,
            "temperature": self.query.temperature,
            "positions": self.query.positions,
        }

    def json(self) -> dict[str, Any]:
        """What the page's script starts from, and the page's twin."""
        first = self.steered[0] if self.steered else None
        empty = {"+": EMPTY_POLE, "-": EMPTY_POLE}
        return {
            "sae": self.sae.id if self.sae else None,
            "model_id": self.sae.model_id if self.sae else None,
            "model": self.sae.model if self.sae else None,
            "width": self.sae.d_sae if self.sae else None,
            "feature": first.edit.feature if first else None,
            "poles": first.poles if first else empty,
            "strength": first.edit.strength if first else self.query.strength or 0.0,
            "edits": [_entry(entry) for entry in self.steered],
            **self.query.model_dump(
                include={"prompt", "seed", "temperature", "tokens", "positions"}
            ),
            "request": self.request(),
            "problem": self.problem,
        }


def read_state(session: Session, vocabularies: Vocabularies, query: SteerQuery) -> SteerState:
    """The state an address names; 404 on an SAE that is not there."""
    further = query.further()
    saes = [entry for entry in list_saes(session) if entry.state == "ready"]
    record = find_sae(session, query.sae) if query.sae else None
    summary = choose(saes, record.id if record else None)
    if record is None and summary is not None:
        record = find_sae(session, summary.id)
    if record is None or query.feature is None:
        return SteerState(query, saes, record, [], "")
    given = [
        Edit(
            sae=record.id,
            feature=query.feature,
            operation=query.operation,
            strength=query.strength or 0.0,
            pole=POLES[query.pole] if query.operation == "scale" else "both",
        ),
        *further,
    ]
    steered: list[Steered] = []
    problems = []
    for edit in given:
        own = find_sae(session, edit.sae)
        poles = _poles_of(session, vocabularies, own, edit.feature)
        if poles is None:
            last = own.d_sae - 1
            problems.append(
                f"{own.name} has no indexed feature {edit.feature}: choose another from 0 to {last}."
            )
        elif own.model_id != record.model_id:
            problems.append(
                f"{own.name} was trained on {own.model}, not on {record.model}: it is left out."
            )
        else:
            steered.append(Steered(edit.model_copy(update={"sae": own.id}), own, poles))
        if not steered:  # without its first feature the page starts anew
            return SteerState(query, saes, record, [], " ".join(problems))
    if query.strength is None:
        start = default_strength(steered[0])
        first = steered[0].edit.model_copy(update={"strength": start})
        steered[0] = Steered(first, steered[0].sae, steered[0].poles)
    return SteerState(query, saes, record, steered, " ".join(problems))


def default_strength(entry: Steered) -> float:
    """One quantile of the + pole, or of the − pole if that is the only one; scale swaps the poles."""
    if entry.edit.operation == "scale":
        return -1.0
    quantile = entry.poles["+"]["quantile_999"] or entry.poles["-"]["quantile_999"]
    return float(f"{quantile:.6g}")


def slider_of(entry: Steered) -> Slider:
    """The slider of one edit; a pole that never fires has no scale, so its side is closed."""
    strength = entry.edit.strength
    if entry.edit.operation == "scale":
        ends = range(-FACTOR_REACH, FACTOR_REACH + 1)
        return Slider(-FACTOR_REACH, FACTOR_REACH, strength, ends, neutral=1)
    minus, plus = (abs(entry.poles[pole]["quantile_999"]) for pole in ("-", "+"))
    scale = plus if strength > 0 else minus
    low, high = (-REACH if minus else 0), (REACH if plus else 0)
    value = round(strength / scale, 2) if scale else 0.0
    return Slider(low, high, value, ticks=range(low, high + 1), neutral=0)


def edits_of(state: SteerState) -> list[SteerEdit]:
    """The edits as the page shows them."""
    others = [write_edit(entry.edit) for entry in state.steered[1:]]
    return [
        SteerEdit(
            place=place,
            sae_name=entry.sae.name,
            layer=entry.sae.layer,
            feature=entry.edit.feature,
            minus=pole_name(entry.poles["-"]["label"], entry.poles["-"]["quantile_999"]),
            plus=pole_name(entry.poles["+"]["label"], entry.poles["+"]["quantile_999"]),
            operation=entry.edit.operation,
            pole=POLE_NAMES[entry.edit.pole],
            strength=entry.edit.strength,
            slider=slider_of(entry),
            value=others[place - 1] if place else "",
            feature_url=f"/sae/{entry.sae.id}/feature/{entry.edit.feature}",
            remove_url=state.query.address(
                "/steer", edit=[other for n, other in enumerate(others) if n != place - 1]
            ),
        )
        for place, entry in enumerate(state.steered)
    ]


def columns_of(state: SteerState) -> list[SteerColumn]:
    """The columns −, 0 and +, with a note where a pole cannot be steered."""
    first = state.steered[0] if state.steered else None
    is_scale = first is not None and first.edit.operation == "scale"
    columns = []
    for name, sign, glyph in (("minus", "-", "−"), ("zero", "0", "0"), ("plus", "+", "+")):
        pole = first.poles[sign] if first is not None and sign != "0" else None
        missing = pole is not None and not is_scale and not pole["quantile_999"]
        title = (pole["label"] if pole else "") or f"{name} pole"
        if sign == "0":
            title = "unsteered"
        elif is_scale:
            title = "poles swapped" if sign == "-" else "code multiplied"
        columns.append(
            SteerColumn(
                name=name,
                sign=sign,
                glyph=glyph,
                title=title,
                note="This pole never fires, so it has no scale to steer by." if missing else "",
            )
        )
    return columns


def _poles_of(
    session: Session, vocabularies: Vocabularies, sae: SaeRecord, feature: int
) -> Poles | None:
    """Label and scale of each pole; None if there is no such feature."""
    vocabulary = vocabularies.of(session, sae.model_id)
    record = get_feature(session, sae, feature, contexts=1, radius=0, vocabulary=vocabulary)
    if record is None:
        return None
    return {
        pole: {"label": part.label, "quantile_999": part.quantile_999}
        for pole, part in record.poles.items()
    }


def _entry(entry: Steered) -> dict[str, Any]:
    return {
        **entry.edit.model_dump(),
        "sae_name": entry.sae.name,
        "sha256": entry.sae.sha256,
        "layer": entry.sae.layer,
        "poles": entry.poles,
    }
