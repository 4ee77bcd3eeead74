"""One feature as a card for other pages: labels, histogram, a few contexts of each pole."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from server.web.card import card_of
from server.web.contexts_reading import EmbedPage
from server.web.deps import RendererDep, SaeDep, SessionDep, VocabulariesDep
from server.web.feature_source import Pole
from server.web.policies import EMBED_POLICY

router = APIRouter(include_in_schema=False)


@router.get("/embed/sae/{sae}/feature/{feature}")
def get_embed(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    vocabularies: VocabulariesDep,
    sae: SaeDep,
    feature: int,
    pole: Annotated[Pole, Query()] = "+",
    contexts: Annotated[int, Query(ge=0, le=20, description="How many of each pole")] = 5,
    theme: Literal["light", "dark"] | None = None,
) -> HTMLResponse:
    """The card; the only page that other sites may frame."""
    card = card_of(session, vocabularies, sae, feature, pole=pole, contexts=contexts)
    context = EmbedPage(card=card, theme=theme)
    response = renderer.page(request, "embed.html", context, sae_id=sae.id)
    response.headers["content-security-policy"] = EMBED_POLICY
    return response
