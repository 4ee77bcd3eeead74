"""JSON, CSV and streams for scripts: one module per noun."""

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every operation, in the order their addresses are tried."""
    from server.web.api import features, health, jump, maps, prompt, runs, saes, steer

    return [noun.router for noun in (saes, features, maps, prompt, steer, runs, jump, health)]
