"""Pages for people: one module per page."""

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every page, in the order their addresses are tried."""
    from server.web.pages import (
        compare,
        concept,
        contrast,
        docs,
        embed,
        feature,
        library,
        lists,
        map,
        prompt,
        run,
        sae,
        steer,
        train,
    )

    return [
        page.router
        for page in (
            library, map, feature, sae, prompt, contrast, compare, concept, lists, embed, steer,
            train, run, docs,
        )
    ]  # fmt: skip
