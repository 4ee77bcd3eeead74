"""Stopping a run, and taking it up again: what the page's buttons and scripts ask for.

Knows which states allow it; raises 409 with what to do where the state does not.
"""

from fastapi import HTTPException

from server.store.runs import RunRecord, reopen_run, request_cancel
from server.store.session import Database


def cancel(database: Database, run: RunRecord) -> None:
    """Cancel a queued run, ask a running one to stop at its next step."""
    with database.write() as session:
        if not request_cancel(session, run.id):
            raise HTTPException(409, f"Run {run.id} has ended: there is nothing to cancel.")


def resume(database: Database, run: RunRecord) -> None:
    """Queue a run again that was cancelled or has failed."""
    with database.write() as session:
        # Of a running one, nobody here can tell whether its process lives.
        if not reopen_run(session, run.id, states=("cancelled", "failed")):
            raise HTTPException(
                409, f"Run {run.id} is {run.state}: only a cancelled or failed run can be resumed."
            )
