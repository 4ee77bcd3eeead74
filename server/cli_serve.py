"""The commands that stay: `serve`, `worker` and `demo`.

Knows sockets, the two applications and who starts whom. Imports neither application until asked:
torch belongs to the worker alone.
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import socket
import stat
import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlencode

from server.cli_output import print_json, print_line
from server.cli_runs import demo_runs, make_demo, queue_demo
from server.settings import Settings
from server.supervisor import Supervisor, follow_stdin, spawn

if TYPE_CHECKING:
    from fastapi import FastAPI

WORKER_PORT = 8100
DRAIN_SECONDS = 5
"""How long open streams may go on after SIGTERM."""


def serve(settings: Settings, arguments: argparse.Namespace) -> int:
    """Web in this process, and unless a worker's URL is set, a local worker beside it."""
    with _web_socket(settings) as listener:
        _serve(settings, listener, arguments.json)
    return 0


def demo(settings: Settings, arguments: argparse.Namespace) -> int:
    """Queue the demo if it is not there yet, then serve; with --no-serve, make it here."""
    if arguments.no_serve:
        return make_demo(settings, arguments.json)
    with _web_socket(settings) as listener:
        if not demo_runs(settings):
            queue_demo(settings)
        _serve(settings, listener, arguments.json, opens_browser=not arguments.no_open)
    return 0


def worker(settings: Settings, arguments: argparse.Namespace) -> int:
    """The models' own process: one application for web to ask, one thread that executes runs."""
    if arguments.follow_stdin:
        follow_stdin()
    with contextlib.closing(_worker_socket(settings, arguments)) as listener:
        from server.store.migrate import migrate
        from server.store.session import Database
        from server.worker.executor import Executor

        migrate(settings.database_url)
        database = Database.of(settings)
        executor = Executor(database, settings.data_dir, settings.environment())
        address = _address(listener)
        _stop_on_sigterm()
        executor.start()
        try:
            # After the executor: torch takes seconds to load, and a queued run need not wait.
            from server.worker.app import create_app

            def announce() -> None:
                if not arguments.follow_stdin:
                    _announce(address, f"worker at {address} (Ctrl-C stops it)", arguments.json)

            token = None if listener.family == socket.AF_UNIX else settings.token
            # A job needs the time in which streams are drained: it has to save what it has.
            _run(create_app(settings, token), listener, announce, executor.begin_stop)
        finally:
            executor.stop()
            database.dispose()
            if listener.family == socket.AF_UNIX:
                Path(address).unlink(missing_ok=True)
    return 0


def _serve(
    settings: Settings, listener: socket.socket, as_json: bool, opens_browser: bool = False
) -> None:
    # httpx brings along its command line, with rich and pygments: 4 MB that a server never uses.
    sys.modules.setdefault("httpx._main", cast("ModuleType", None))
    from server.store.migrate import migrate
    from server.web.app import create_app

    migrate(settings.database_url)
    # The first page turns the token into a cookie; later addresses do without.
    query = f"/?{urlencode({'token': settings.token})}" if settings.token else ""
    url = _address(listener) + query

    def announce() -> None:
        _announce(url, f"Dipole is at {url} (Ctrl-C stops it)", as_json)
        if opens_browser:
            _open_browser(url)

    _stop_on_sigterm()
    with contextlib.ExitStack() as stack:
        if settings.worker_url is None:
            supervisor = Supervisor(partial(spawn, ["worker"], settings.environment()), "worker")
            supervisor.start()
            stack.callback(supervisor.stop)
        _run(create_app(settings), listener, announce)


def _run(
    app: "FastAPI",
    listener: socket.socket,
    announce: Callable[[], None],
    leave: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal; `announce` is called once connections are accepted.

    `leave` is called by the signal itself, before open streams are drained: it must not wait.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            leave()
            super().handle_exit(sig, frame)

    # log_config None: the log that the command line has set up.
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=DRAIN_SECONDS
    )
    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        raise RuntimeError("the server could not start: the lines above say why")


def _web_socket(settings: Settings) -> contextlib.closing[socket.socket]:
    settings.require_token_when_open()
    return contextlib.closing(_listen(settings.host, settings.port))


def _listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket; raises ValueError, saying what to do, when the address is not free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio leaves Nagle's algorithm on: each answer then waits 40 ms for the last one's ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ValueError(
            f"cannot listen on {host} port {port} ({error.strerror}): stop what is there,"
            " or choose another with --port"
        ) from error
    return listener


def _worker_socket(settings: Settings, arguments: argparse.Namespace) -> socket.socket:
    """TCP when --host or --port is given, else the unix socket, for this user only."""
    if arguments.worker_host is not None or arguments.worker_port is not None:
        host = arguments.worker_host or "127.0.0.1"
        port = WORKER_PORT if arguments.worker_port is None else arguments.worker_port
        dataclasses.replace(settings, host=host, port=port).require_token_when_open()
        return _listen(host, port)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.worker_socket
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


def _clear(path: Path) -> None:
    """Remove the socket that a killed worker left; raises ValueError if one still answers there."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise ValueError(f"{path} is in the way of the worker's socket: move it away")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ValueError(f"a worker already serves {path}: stop it, or choose another --data-dir")


def _address(listener: socket.socket) -> str:
    """The URL of a TCP socket, the path of a unix one."""
    name: Any = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return str(name)
    host, port = name[0], name[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(address: str, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json({"url": address, "pid": os.getpid()})
    else:
        print_line(sentence)


def _open_browser(url: str) -> None:
    # Without a display `webbrowser` may start a text browser on top of the log.
    if (
        sys.platform in ("darwin", "win32")
        or os.environ.get("DISPLAY", "")
        or os.environ.get("WAYLAND_DISPLAY", "")
    ):
        webbrowser.open(url)


def _stop_on_sigterm() -> None:
    """Let SIGTERM unwind this process, so that children are stopped in order."""

    def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
