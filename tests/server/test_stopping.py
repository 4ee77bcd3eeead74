"""What happens between SIGTERM and the end: jobs first, and time for each to end in order."""

import subprocess
import sys

from server.cli_serve import DRAIN_SECONDS
from server.supervisor import JOB_SECONDS, WORKER_SECONDS
from server.worker.device import CLOSE_SECONDS

SERVE = """
import os, signal, socket
from server.cli_serve import _run

signal.signal(signal.SIGTERM, lambda *_: None)  # the server passes it on once it has stopped
order = []

async def app(scope, receive, send):
    for step in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{step}"
        order.append(step)
        await send({"type": f"lifespan.{step}.complete"})

with socket.create_server(("127.0.0.1", 0)) as listener:
    _run(app, listener, lambda: os.kill(os.getpid(), signal.SIGTERM), lambda: order.append("jobs"))
print(*order)
"""
"""In a process of its own: signals reach the main thread, in which these tests may run an event loop."""


def test_jobs_are_told_to_end_before_the_server_shuts_down():
    done = subprocess.run([sys.executable, "-c", SERVE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["startup", "jobs", "shutdown"]


def test_a_worker_is_given_the_time_that_its_job_and_its_streams_may_take():
    assert max(JOB_SECONDS, DRAIN_SECONDS + CLOSE_SECONDS) < WORKER_SECONDS
