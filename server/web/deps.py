"""What routes are handed: a reading session, the worker, the renderer, the SAE an address names.

A route that waits for the worker takes `ReadDep`: a session would hold its connection meanwhile,
and a dozen slow questions would leave none for the pages that ask no worker.

Knows where the application keeps them; nothing of what routes do with them.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from fastapi import Depends, HTTPException, Path, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from server.store.language_models import Vocabularies
from server.store.runs import RunRecord, get_run
from server.store.saes import SaeRecord, get_sae
from server.store.session import Database
from server.web.render import Renderer
from server.web.worker_client import WorkerClient

P = ParamSpec("P")
T = TypeVar("T")


def read_session(request: Request) -> Iterator[Session]:
    """A session that sees one moment of the database."""
    with request.app.state.database.read() as session:
        yield session


class Reads:
    """Short reads from an async route: each in a thread, in a session that ends with it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, function: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `function` answers when it is given a session and these arguments."""

        def answer() -> T:
            with self._database.read() as session:
                return function(session, *args, **kwargs)

        return await run_in_threadpool(answer)


def get_reads(request: Request) -> Reads:
    """Short reads of the application's database."""
    return Reads(request.app.state.database)


def get_worker(request: Request) -> WorkerClient:
    """The application's worker client, asking for as long as somebody reads."""
    return request.app.state.worker.asked_by(request.receive)


def get_renderer(request: Request) -> Renderer:
    """The application's templates."""
    return request.app.state.renderer


def get_vocabularies(request: Request) -> Vocabularies:
    """The vocabularies read last."""
    return request.app.state.vocabularies


ReadDep = Annotated[Reads, Depends(get_reads)]
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


def numbered_run(session: SessionDep, run_id: int) -> RunRecord:
    """The run of the address; 404 with what to do if there is none."""
    run = get_run(session, run_id)
    if run is None:
        raise HTTPException(404, f"There is no run {run_id}. /runs lists those there are.")
    return run


RunDep = Annotated[RunRecord, Depends(numbered_run)]
