"""The pages and forms that begin long work: train an SAE, bring one in, keep an axis, index or map again."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from server.protocol import Message, TrainableSparsifier, TrainRequest
from server.protocol.axis import AxisRequest
from server.protocol.concepts import CONTRASTS
from server.protocol.files import ImportRequest
from server.store.language_models import list_models
from server.web.asking import DEMO, check_request, enter_run, read_fields
from server.web.contexts_runs import AxisPage, ImportPage, TrainPage
from server.web.deps import RendererDep, SaeDep, SessionDep
from server.web.forms import Form, FormDep
from server.web.render import Renderer

router = APIRouter(include_in_schema=False)

SPARSIFIERS = get_args(TrainableSparsifier)
PLAIN = ("model", "layer", "sae", "width", "k", "tokens", "text", "seed", "name")


@router.get("/train")
@router.get("/import")
@router.get("/axis")
def get_form(request: Request, session: SessionDep, renderer: RendererDep) -> HTMLResponse:
    """The form with the usual values, or with those of the address."""
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    return _form_page(request, session, renderer, given)


@router.post("/train")
@router.post("/import")
@router.post("/axis")
def post_form(
    request: Request, session: SessionDep, renderer: RendererDep, form: FormDep
) -> Response:
    """Begin what the form asks for, or say at the form what is wrong with it."""
    try:
        return _begin(request, _kind(request), form)
    except ValueError as error:
        return _form_page(request, session, renderer, form, _sentence(error))


@router.post("/sae/{sae}/index")
def post_index(request: Request, sae: SaeDep, form: FormDep) -> Response:
    """Index an SAE over the form's text, or over the one it was trained on."""
    return _begin_of(request, "index", {**form, "saes": [str(sae.id)]})


@router.post("/sae/{sae}/map")
def post_map(request: Request, sae: SaeDep, form: FormDep) -> Response:
    """Lay out the dictionary again."""
    return _begin_of(request, "map", {**form, "sae": [str(sae.id)]})


def _begin_of(request: Request, kind: str, form: Form) -> Response:
    try:
        return _begin(request, kind, form)
    except ValueError as error:
        raise HTTPException(422, _sentence(error)) from error


def _begin(request: Request, kind: str, form: Form) -> Response:
    state = request.app.state
    run_id = enter_run(state.database, kind, check_request(state.settings, kind, read_fields(form)))
    return RedirectResponse(f"/run/{run_id}", status_code=303)


def _kind(request: Request) -> str:
    """What the address of a form begins: its own last word."""
    return request.scope["route"].path.removeprefix("/")


def _form_page(
    request: Request, session: Session, renderer: Renderer, form: Form, problem: str = ""
) -> HTMLResponse:
    kind = _kind(request)
    make, active = FORMS[kind]
    status = 422 if problem else 200
    context = make(session, form, problem)
    return renderer.page(request, f"{kind}.html", context, active=active, status=status)


def _train_page(session: Session, form: Form, problem: str) -> TrainPage:
    usual = _usual(TrainRequest)
    values = usual | {name: ",".join(given) for name, given in form.items()}
    if problem:  # it was sent, and a box that is not ticked sends nothing
        values |= {
            name: "" for name in ("text", "k", "width", "tokens", "seed") if name not in form
        }
    chosen = [part for text in form.get("sae", [usual["sae"]]) for part in text.split(",")]
    is_advanced = len(chosen) > 1 or any(
        name not in PLAIN and values[name] != usual.get(name, "") for name in values
    )
    return TrainPage(values, chosen, SPARSIFIERS, _models(session), is_advanced, problem)


def _import_page(session: Session, form: Form, problem: str) -> ImportPage:
    given = {name: ",".join(texts) for name, texts in form.items()}
    return ImportPage(_usual(ImportRequest) | given, _models(session), problem)


def _axis_page(session: Session, form: Form, problem: str) -> AxisPage:
    given = {name: texts[-1] for name, texts in form.items()}
    return AxisPage(_usual(AxisRequest) | given, _models(session), CONTRASTS, problem)


def _usual(message: type[Message]) -> dict[str, str]:
    """Every field's default as text; the text is the demo's, since its model is the default."""
    fields: Mapping[str, Any] = message.model_fields
    usual = {
        name: _as_text(field.get_default(call_default_factory=True))
        for name, field in fields.items()
    }
    return usual | {"no_sample": "", "text": DEMO if message is TrainRequest else ""}


def _as_text(value: Any) -> str:
    """A default as a field shows it: nothing where it is left open."""
    plain = value if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    return f"{plain:g}" if isinstance(plain, float) else str(plain)


def _models(session: Session) -> list[str]:
    """What may be picked: the demo, and every model the library has."""
    return list(dict.fromkeys([DEMO, *(model.name for model in list_models(session))]))


def _sentence(error: ValueError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}"


FORMS: dict[str, tuple[Callable[[Session, Form, str], Any], str]] = {
    "train": (_train_page, "Library"),
    "import": (_import_page, "Library"),
    "axis": (_axis_page, "Concepts"),
}
"""What each form shows, and the entry of the menu it stands under."""
