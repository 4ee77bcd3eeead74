"""A temporary Postgres server for tests: its own cluster, in a temporary folder, on a unix socket.

Knows where distributions put the binaries and that Postgres refuses to run as root: there it runs
as another user. Nothing is kept, so nothing is synced.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt")
OPTIONS = (
    "fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=",
    "shared_buffers=32MB", "max_connections=60", "autovacuum=off",
)  # fmt: skip
START_SECONDS = 60


class PostgresMissing(Exception):
    """No Postgres can be started here; says why."""


def find_binaries() -> Path:
    """The folder that holds `initdb` and `postgres`; raises PostgresMissing."""
    if (named := os.environ.get("DIPOLE_POSTGRES_BIN")) and Path(named, "initdb").exists():
        return Path(named)
    found = [path.parent for place in PLACES for path in Path(place).glob("**/bin/initdb")]
    if found:
        return max(
            found, key=lambda folder: [int(n) for n in folder.parent.name.split(".") if n.isdigit()]
        )
    if (on_path := shutil.which("initdb")) is not None:
        return Path(on_path).resolve().parent
    raise PostgresMissing(
        "Postgres is not installed (no initdb; or name its folder in DIPOLE_POSTGRES_BIN)"
    )


@contextmanager
def run_postgres(options: Sequence[str] = OPTIONS) -> Iterator[str]:
    """The socket folder of a running server whose superuser is `dipole`, without a password."""
    with run_server(options) as server:
        yield str(server.folder)


@contextmanager
def run_server(options: Sequence[str] = OPTIONS) -> Iterator["Server"]:
    """A running server that can be killed and started again; gone, with its data, at the end."""
    binaries = find_binaries()
    identity = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="dipole-pg-"))
    try:
        if identity:
            shutil.chown(folder, identity["user"], identity["group"])
        data = folder / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "dipole", "--auth=trust", "--no-sync",
             "--encoding=UTF8", "--locale=C"],
            check=True, capture_output=True, cwd=folder, **identity,
        )  # fmt: skip
        command: list[object] = [*_dying_with_us(), binaries / "postgres", "-D", data, "-k", folder]
        for option in options:
            command += ["-c", option]
        server = Server(folder, command, identity)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGINT)  # "fast" shutdown: clients are cut off
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """A Postgres process on a folder that outlives it."""

    def __init__(self, folder: Path, command: list[object], identity: dict[str, object]) -> None:
        self.folder = folder
        self._command = command
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self.folder, **self._identity
            )
        _wait_until_ready(self.folder, self._process)

    def stop(self, how: signal.Signals) -> None:
        """SIGINT cuts clients off, SIGQUIT ends it without shutting down, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)


def connect(folder: str, database: str = "postgres") -> psycopg.Connection:
    """A connection that commits every statement, as CREATE DATABASE needs."""
    return psycopg.connect(host=folder, user="dipole", dbname=database, autocommit=True)


def url_of(folder: str, database: str) -> str:
    """The SQLAlchemy URL of a database of the server on this socket."""
    return f"postgresql+psycopg://dipole@/{database}?host={folder}"


class Copies:
    """Databases for one test each; one that its test has only read goes on to the next."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._unchanged: dict[str, str] = {}

    @contextmanager
    def lend(self, template: str) -> Iterator[str]:
        """The URL of a copy of `template` as it was made."""
        with connect(self._folder) as connection:
            name = self._unchanged.pop(template, None)
            if name is None:
                name = f"test_{uuid4().hex}"
                connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            before = _last_write(connection)
            yield url_of(self._folder, name)
            if _last_write(connection) == before:
                self._unchanged[template] = name
            else:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _last_write(connection: psycopg.Connection) -> str:
    """Where the server's log of changes ends: any write, in any database, moves it."""
    row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return row[0]


def _unprivileged_user() -> dict[str, object]:
    """Whom to run as: nobody else, unless we are root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise PostgresMissing("Postgres does not run as root, and there is no user postgres or nobody")


def _dying_with_us() -> list[str]:
    """A prefix that stops the server if the test process is killed and cannot."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []


def _wait_until_ready(folder: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"Postgres ended at once: {(folder / 'log').read_text()}")
        try:
            connect(str(folder)).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"Postgres did not start: {(folder / 'log').read_text()}")
