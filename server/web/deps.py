"""What routes are handed: a reading session, the worker, the renderer, the SAE an address names.

Knows where the application keeps them; nothing of what routes do with them.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Request
from sqlalchemy.orm import Session

from server.store.language_models import Vocabularies
from server.store.saes import SaeRecord, get_sae
from server.web.render import Renderer
from server.web.worker_client import WorkerClient


def read_session(request: Request) -> Iterator[Session]:
    """A session that sees one moment of the database."""
    with request.app.state.database.read() as session:
        yield session


def get_worker(request: Request) -> WorkerClient:
    """The application's worker client."""
    return request.app.state.worker


def get_renderer(request: Request) -> Renderer:
    """The application's templates."""
    return request.app.state.renderer


def get_vocabularies(request: Request) -> Vocabularies:
    """The vocabularies read last."""
    return request.app.state.vocabularies


SessionDep = Annotated[Session, Depends(read_session)]
WorkerDep = Annotated[WorkerClient, Depends(get_worker)]
RendererDep = Annotated[Renderer, Depends(get_renderer)]
VocabulariesDep = Annotated[Vocabularies, Depends(get_vocabularies)]
SaeKey = Annotated[str, Path(max_length=200, description="The SAE's id or name")]


def named_sae(session: SessionDep, sae: SaeKey) -> SaeRecord:
    """The SAE of the address; 404 with what to do if there is none."""
    return find_sae(session, sae)


def find_sae(session: Session, key: int | str) -> SaeRecord:
    """The SAE of this id or name; 404 with what to do if there is none."""
    record = get_sae(session, key)
    if record is None:
        raise HTTPException(404, f"There is no SAE {key}. The library at / lists those there are.")
    return record


SaeDep = Annotated[SaeRecord, Depends(named_sae)]
