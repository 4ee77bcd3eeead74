"""JSON, CSV and streams for scripts: one module per noun."""

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every operation, in the order their addresses are tried."""
    from server.web.api import (
        compare,
        concept,
        contrast,
        effects,
        features,
        health,
        jump,
        lists,
        maps,
        metrics,
        prompt,
        run,
        runs,
        saes,
        steer,
    )

    return [
        noun.router
        for noun in (
            saes,
            features,
            maps,
            prompt,
            contrast,
            compare,
            concept,
            lists,
            steer,
            effects,
            runs,
            run,
            jump,
            health,
            metrics,
        )
    ]
