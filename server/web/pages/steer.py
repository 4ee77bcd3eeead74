"""The steering page: one feature, one slider, three columns from one seed."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from frontend.filters import pole_name
from server.protocol import MAX_NEW_TOKENS, MAX_PROMPT_CHARACTERS, MAX_STRENGTH
from server.store.features import get_feature
from server.store.language_models import Vocabularies
from server.store.saes import SaeRecord, SaeSummary, list_saes
from server.web.contexts import Slider, SteerColumn, SteerPage
from server.web.deps import RendererDep, SessionDep, VocabulariesDep, find_sae
from server.web.pages.prompt import choose
from server.web.responses import Json

router = APIRouter()

DEFAULT_PROMPT = "Once upon a time"
REACH = 4
"""The slider's ends, in quantiles of a pole."""
EMPTY_POLE = {"label": "", "quantile_999": 0.0}

Sae = Annotated[str, Query(max_length=200)]
Feature = Annotated[int | None, Query(ge=0)]
Strength = Annotated[float | None, Query(ge=-MAX_STRENGTH, le=MAX_STRENGTH, allow_inf_nan=False)]
Prompt = Annotated[str, Query(max_length=MAX_PROMPT_CHARACTERS)]
Seed = Annotated[int, Query(ge=0, le=2**31 - 1)]
Temperature = Annotated[float, Query(ge=0, le=4, allow_inf_nan=False)]
Tokens = Annotated[int, Query(ge=1, le=MAX_NEW_TOKENS)]


@router.get("/steer.json", tags=["steer"])
def get_steer(
    session: SessionDep,
    vocabularies: VocabulariesDep,
    sae: Sae = "",
    feature: Feature = None,
    strength: Strength = None,
    prompt: Prompt = DEFAULT_PROMPT,
    seed: Seed = 0,
    temperature: Temperature = 0.8,
    tokens: Tokens = 60,
) -> Json:
    """What the steering page starts from: the feature's poles with their scales, and the request."""
    options = {"prompt": prompt, "seed": seed, "temperature": temperature, "tokens": tokens}
    _, _, state = read_state(session, vocabularies, sae, feature, strength, options)
    return Json(state)


@router.get("/steer", include_in_schema=False)
def get_steer_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    vocabularies: VocabulariesDep,
    sae: Sae = "",
    feature: Feature = None,
    strength: Strength = None,
    prompt: Prompt = DEFAULT_PROMPT,
    seed: Seed = 0,
    temperature: Temperature = 0.8,
    tokens: Tokens = 60,
) -> HTMLResponse:
    """The form and three empty columns; the script fills them."""
    options = {"prompt": prompt, "seed": seed, "temperature": temperature, "tokens": tokens}
    saes, summary, state = read_state(session, vocabularies, sae, feature, strength, options)
    query = {
        "sae": state["sae"],
        "feature": state["feature"],
        "strength": state["strength"],
        **options,
    }
    context = SteerPage(
        saes=saes,
        sae=summary,
        state=state,
        names=names_of(state),
        slider=slider_of(state),
        columns=columns_of(state),
        problem=state["problem"],
        feature_url=f"/sae/{state['sae']}/feature/{state['feature']}",
        json_url=f"/steer.json?{urlencode({k: v for k, v in query.items() if v is not None})}",
    )
    return renderer.page(
        request, "steer.html", context, active="Steer", sae_id=summary.id if summary else None
    )


def read_state(
    session: Session,
    vocabularies: Vocabularies,
    key: str,
    feature: int | None,
    strength: float | None,
    options: dict[str, Any],
) -> tuple[list[SaeSummary], SaeSummary | None, dict[str, Any]]:
    """The dictionaries to choose from, the chosen one, and the state of the page."""
    saes = [entry for entry in list_saes(session) if entry.state == "ready"]
    record = find_sae(session, key) if key else None
    summary = choose(saes, record.id if record else None)
    if record is None and summary is not None:
        record = find_sae(session, summary.id)
    poles, problem = read_poles(session, vocabularies, record, feature)
    state = {
        "sae": record.id if record else None,
        "model_id": record.model_id if record else None,
        "width": record.d_sae if record else None,
        "feature": feature if poles else None,
        "poles": poles or {"+": EMPTY_POLE, "-": EMPTY_POLE},
        "strength": 0.0,
        "problem": problem,
        **options,
    }
    state["strength"] = default_strength(state["poles"]) if strength is None else strength
    return saes, summary, state


def read_poles(
    session: Session, vocabularies: Vocabularies, sae: SaeRecord | None, feature: int | None
) -> tuple[dict[str, Any] | None, str]:
    """Label and scale of each pole; None and a sentence if there is no such feature."""
    if sae is None or feature is None:
        return None, ""
    vocabulary = vocabularies.of(session, sae.model_id)
    record = get_feature(session, sae, feature, contexts=1, radius=0, vocabulary=vocabulary)
    if record is None:
        return (
            None,
            f"{sae.name} has no indexed feature {feature}: choose another number below {sae.d_sae}.",
        )
    poles = {
        pole: {"label": part.label, "quantile_999": part.quantile_999}
        for pole, part in record.poles.items()
    }
    return poles, ""


def default_strength(poles: dict[str, Any]) -> float:
    """One quantile of the + pole, or of the − pole if that is the only one."""
    return poles["+"]["quantile_999"] or poles["-"]["quantile_999"]


def slider_of(state: dict[str, Any]) -> Slider:
    """The slider; a pole that never fires has no scale, so its side is closed."""
    minus, plus = (abs(state["poles"][pole]["quantile_999"]) for pole in ("-", "+"))
    scale = plus if state["strength"] > 0 else minus
    low, high = (-REACH if minus else 0), (REACH if plus else 0)
    value = round(state["strength"] / scale, 2) if scale else 0.0
    return Slider(low, high, value, ticks=range(low, high + 1))


def names_of(state: dict[str, Any]) -> dict[str, str]:
    """What each pole is called on the page."""
    return {
        pole: pole_name(part["label"], part["quantile_999"])
        for pole, part in state["poles"].items()
    }


def columns_of(state: dict[str, Any]) -> list[SteerColumn]:
    """The columns −, 0 and +, with a note where a pole cannot be steered."""
    columns = []
    for name, sign, glyph in (("minus", "-", "−"), ("zero", "0", "0"), ("plus", "+", "+")):
        pole = state["poles"].get(sign)
        missing = pole is not None and state["feature"] is not None and not pole["quantile_999"]
        columns.append(
            SteerColumn(
                name=name,
                sign=sign,
                glyph=glyph,
                title="unsteered" if pole is None else pole["label"] or f"{name} pole",
                note="This pole never fires, so it has no scale to steer by." if missing else "",
            )
        )
    return columns
