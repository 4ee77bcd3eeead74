"""Pages for people: one module per page."""

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every page, in the order their addresses are tried."""
    from server.web.pages import docs, feature, library, map, prompt, sae, steer

    return [page.router for page in (library, map, feature, sae, prompt, steer, docs)]
