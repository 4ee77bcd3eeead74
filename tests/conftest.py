"""Fixtures every test may use: databases of both kinds, and a small world in one.

Loads no torch. A test that takes `database` (or `world`) runs twice, on SQLite and on Postgres;
`sqlite_database` and `sqlite_world` are for tests whose subject is not the database.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import hypothesis
import pytest

from server.settings import Settings
from server.store.migrate import migrate
from server.store.session import Database
from tests import postgres
from tests.builders import World, build_world

# Workers that share the cores: spinning threads of one would starve the other more than ten-fold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that stands still for a moment is no error of what is tested.
hypothesis.settings.register_profile(
    "dipole", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("dipole")

BACKENDS = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The socket folder of a Postgres server that lives as long as the test session."""
    with _running(postgres.OPTIONS) as server:
        yield str(server.folder)


@pytest.fixture
def restarting() -> Iterator[postgres.Server]:
    """A server of the test's own, to kill and start again; what was committed is then still there."""
    lasting = [each for each in postgres.OPTIONS if not each.startswith("synchronous_commit")]
    with _running(lasting) as server:
        migrate(postgres.url_of(str(server.folder), "postgres"))
        yield server


@contextmanager
def _running(options: Sequence[str]) -> Iterator[postgres.Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres.run_server(options))
        except postgres.PostgresMissing as missing:
            if os.environ.get("DIPOLE_REQUIRE_ALL") == "1":
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        yield server


@pytest.fixture(scope="session")
def postgres_world(postgres_server: str) -> World:
    """The world in the database `world`, to copy, beside `tables`, which is migrated and empty."""
    with postgres.connect(postgres_server) as connection:
        connection.execute("CREATE DATABASE tables")
        migrate(postgres.url_of(postgres_server, "tables"))
        connection.execute("CREATE DATABASE world TEMPLATE tables")
    return _fill(postgres.url_of(postgres_server, "world"))


@pytest.fixture(scope="session")
def postgres_copies(postgres_server: str) -> postgres.Copies:
    """Where a test's own database comes from."""
    return postgres.Copies(postgres_server)


@pytest.fixture(scope="session")
def sqlite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files to copy: `tables`, migrated and empty, and `world`."""
    folder = tmp_path_factory.mktemp("templates")
    migrate(f"sqlite:///{folder / 'tables'}")
    shutil.copy(folder / "tables", folder / "world")
    return folder


@pytest.fixture(scope="session")
def sqlite_folder_world(sqlite_folder: Path) -> World:
    """The world in the file `world` of `sqlite_folder`."""
    return _fill(f"sqlite:///{sqlite_folder / 'world'}")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Which database: sqlite or postgres."""
    return request.param


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        copies = request.getfixturevalue("postgres_copies")
        with copies.lend("template1") as url:
            yield url


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated, empty database."""
    if backend == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        request.getfixturevalue("postgres_world")
        with request.getfixturevalue("postgres_copies").lend(_template_for(request)) as url:
            yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database, once on SQLite and once on Postgres."""
    yield from _open(database_url)


@pytest.fixture
def world(backend: str, database: Database, request: pytest.FixtureRequest) -> World:
    """The world of `tests.builders`, in `database`."""
    copied = "sqlite_folder_world" if backend == "sqlite" else "postgres_world"
    return request.getfixturevalue(copied)


@pytest.fixture
def sqlite_url(
    sqlite_folder: Path,
    sqlite_folder_world: World,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> str:
    """The URL of a migrated, empty SQLite file of this test's own."""
    template = sqlite_folder / _template_for(request)
    return f"sqlite:///{shutil.copy(template, tmp_path / 'dipole.db')}"


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A migrated, empty SQLite database."""
    yield from _open(sqlite_url)


@pytest.fixture
def sqlite_world(sqlite_database: Database, sqlite_folder_world: World) -> World:
    """The world of `tests.builders`, in `sqlite_database`."""
    return sqlite_folder_world


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """Settings whose data directory is `tmp_path` and whose database is `sqlite_database`'s."""
    return Settings(data_dir=tmp_path, database_url=sqlite_url)


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Opens databases that are disposed of at the end of the test."""
    opened: list[Database] = []

    def open_one(url: str) -> Database:
        opened.append(Database(url))
        return opened[-1]

    yield open_one
    for database in opened:
        database.dispose()


def _template_for(request: pytest.FixtureRequest) -> str:
    """A test that takes the world starts from a copy of it: building one takes a while."""
    return "world" if {"world", "sqlite_world"} & set(request.fixturenames) else "tables"


def _fill(url: str) -> World:
    database = Database(url)
    try:
        return build_world(database)
    finally:
        database.dispose()  # which, on SQLite, also leaves everything in the one file


def _open(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.dispose()
