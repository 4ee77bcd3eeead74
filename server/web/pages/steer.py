"""The steering page: features, a slider each, three columns from one seed; and its twins."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from server.protocol.effects import WeightsRequest
from server.store.language_models import get_model
from server.web.axes import Address, axis_links
from server.web.contexts import Link
from server.web.contexts_steer import SteerPage
from server.web.deps import ReadDep, RendererDep, SessionDep, VocabulariesDep, WorkerDep
from server.web.look_first import concepts_read
from server.web.responses import Json
from server.web.steer_query import SteerQuery
from server.web.steer_script import script_of
from server.web.steer_view import SteerState, columns_of, edits_of, read_state

router = APIRouter()
QueryDep = Annotated[SteerQuery, Query()]
NO_EDIT = {"sae": "", "feature": None, "strength": None, "operation": "add", "edit": []}
NOTHING = "Choose a feature first: give sae and feature."


@router.get("/steer.json", tags=["steer"])
def get_steer(session: SessionDep, vocabularies: VocabulariesDep, query: QueryDep) -> Json:
    """What the steering page starts from: the features' poles with their scales, and the request."""
    return Json(read_state(session, vocabularies, query).json())


@router.get("/steer.py", tags=["steer"])
def get_script(session: SessionDep, vocabularies: VocabulariesDep, query: QueryDep) -> Response:
    """The same steering in Python without Dipole; it reads `steer.safetensors` beside it."""
    state = _require(read_state(session, vocabularies, query))
    assert state.sae is not None
    model = get_model(session, state.sae.model_id)
    assert model is not None
    return Response(
        script_of(state, model),
        media_type="text/x-python; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="steer.py"'},
    )


@router.get("/steer.safetensors", tags=["steer"])
async def get_weights(
    read: ReadDep, vocabularies: VocabulariesDep, worker: WorkerDep, query: QueryDep
) -> Response:
    """The tensors these edits need: directions, and encoders where a code is read."""
    state = _require(await read(read_state, vocabularies, query))
    body = WeightsRequest(edits=[entry.edit for entry in state.steered])
    return Response(
        await worker.fetch("/weights", body),
        media_type="application/octet-stream",
        headers={"content-disposition": 'attachment; filename="steer.safetensors"'},
    )


@router.get("/steer", include_in_schema=False)
def get_steer_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    vocabularies: VocabulariesDep,
    query: QueryDep,
) -> HTMLResponse:
    """The form and three empty columns; the script fills them."""
    state = read_state(session, vocabularies, query)
    axes = [] if state.steered else [entry for entry in state.saes if entry.sparsifier == "dim"]
    known = state.query.model_copy(
        update={"sae": str(state.sae.id) if state.sae else "", "strength": strength_of(state)}
    )
    context = SteerPage(
        saes=state.saes,
        sae=state.summary,
        state=state.json(),
        edits=edits_of(state),
        columns=columns_of(state),
        starts=axis_links(session, axes, _address_from(query)),
        read_for=_read_for(session, state),
        others_url=query.model_copy(update=NO_EDIT).address("/steer"),
        problem=state.problem,
        unfolded=query.open.split("."),
        wanted=query.wanted,
        other=query.other,
        json_url=known.address("/steer.json"),
        script_url=known.address("/steer.py"),
        weights_url=known.address("/steer.safetensors"),
    )
    return renderer.page(
        request,
        "steer.html",
        context,
        active="Steer",
        sae_id=state.sae.id if state.sae else None,
    )


def _address_from(query: SteerQuery) -> Address:
    """The address that steers by one feature, with this prompt, seed and the rest."""
    return lambda sae, feature: query.model_copy(
        update={**NO_EDIT, "sae": str(sae), "feature": feature}
    ).address("/steer")


def _read_for(session: Session, state: SteerState) -> list[Link]:
    """The concepts the first feature was found for by reading, each with what measures steering."""
    if not state.steered:
        return []
    sae, feature = state.steered[0].sae, state.steered[0].edit.feature
    return [
        Link(concept, f"/concept?{urlencode({'sae': sae.id, 'contrast': concept})}")
        for concept in concepts_read(session, sae, feature)
    ]


def strength_of(state: SteerState) -> float | None:
    """The first edit's strength, chosen or by default."""
    return state.steered[0].edit.strength if state.steered else state.query.strength


def _require(state: SteerState) -> SteerState:
    if not state.steered:
        raise HTTPException(422, state.problem or NOTHING)
    return state
