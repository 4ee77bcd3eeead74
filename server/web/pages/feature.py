"""The dashboard of one feature: two mirrored halves, − on the left and + on the right."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from frontend.filters import axis_name
from server.store.index_rows import EXTREME, INTERVAL, MEAN, TURN
from server.store.language_models import get_model
from server.store.saes import SaeRecord
from server.web.api.prompt import TextQuery
from server.web.concept_facts import concept_facts
from server.web.contexts import FeaturePage
from server.web.deps import RendererDep, SaeDep, SessionDep, VocabulariesDep
from server.web.feature_parts import facts_of, half_of, neighbours_of, presets_of
from server.web.feature_samples import interval_rows, turns_of
from server.web.feature_source import Pole, read_feature
from server.web.histogram import histogram_view, logit_plot
from server.web.steer_query import DEFAULT_PROMPT

router = APIRouter(include_in_schema=False)

By = Literal["extreme", "mean"]
KINDS: dict[By, int] = {"extreme": EXTREME, "mean": MEAN}


@router.get("/sae/{sae}/feature/{feature}")
def get_feature_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    vocabularies: VocabulariesDep,
    sae: SaeDep,
    feature: int,
    pole: Annotated[Pole, Query()] = "+",
    by: By = "extreme",
    whole: bool = False,
    text: TextQuery = "",
    unfolded: Annotated[str, Query(alias="open", max_length=100)] = "",
) -> HTMLResponse:
    """One feature, with its stored sign or flipped; `text` stands in its test box.

    `whole`: every context in colour without scripts. `open`: the parts that are unfolded.
    """
    view = read_feature(session, sae, feature, pole, vocabularies, {KINDS[by], INTERVAL, TURN})
    model = get_model(session, sae.model_id)
    special_ids = set() if model is None or model.bos_token_id is None else {model.bos_token_id}
    halves = [half_of(view, side, sae, special_ids, by, whole) for side in ("-", "+")]
    context = FeaturePage(
        sae=sae,
        feature=feature,
        name=axis_name(view["label"], *(view["poles"][side]["label"] for side in ("-", "+"))),
        minus_label=halves[0].label,
        plus_label=halves[1].label,
        pole=view["pole"],
        by=by,
        facts=[*concept_facts(session, sae, feature, view["pole"]), *facts_of(view)],
        histogram=histogram_view(view),
        logits=logit_plot(view),
        halves=halves,
        aligned=neighbours_of(view, "aligned"),
        opposed=neighbours_of(view, "opposed"),
        together=view["together"],
        explanation=view["explanation"],
        intervals=interval_rows(view, special_ids),
        turns=turns_of(view, special_ids),
        special_ids=sorted(special_ids),
        presets=presets_of(view),
        default_prompt=DEFAULT_PROMPT,
        text=text,
        unfolded=unfolded.split("."),
        origin=str(request.base_url).rstrip("/"),
        **_addresses(sae, feature, view["pole"], by, text, unfolded),
    )
    return renderer.page(request, "feature.html", context, active="Library", sae_id=sae.id)


def _addresses(
    sae: SaeRecord, feature: int, pole: str, by: By, text: str, unfolded: str
) -> dict[str, Any]:
    def address(number: int = feature, suffix: str = "", **changes: str) -> str:
        state = {"pole": pole, "by": by, "text": text, "open": unfolded, **changes}
        defaults = {"pole": "+", "by": "extreme", "text": "", "open": ""}
        said = {key: value for key, value in state.items() if value != defaults.get(key)}
        query = f"?{urlencode(said)}" if said else ""
        return f"/sae/{sae.id}/feature/{number}{suffix}{query}"

    plain = {"by": "extreme", "text": "", "open": ""}
    return {
        "previous_url": address(feature - 1) if feature > 0 else None,
        "next_url": address(feature + 1) if feature + 1 < sae.d_sae else None,
        "flip_url": address(pole="-" if pole == "+" else "+"),
        "steer_url": f"/steer?sae={sae.id}&feature={feature}",
        "map_url": f"/sae/{sae.id}/map?feature={feature}" if sae.published_map_id else None,
        "embed_url": f"/embed{address(**plain)}",
        "json_url": address(suffix=".json", **plain),
        "whole_url": address(whole="1"),
        "direction_url": f"/steer.safetensors?sae={sae.id}&feature={feature}",
        "script_url": f"/steer.py?sae={sae.id}&feature={feature}",
        "by_urls": {"extreme": address(by="extreme"), "mean": address(by="mean")},
    }
