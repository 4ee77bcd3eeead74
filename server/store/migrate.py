"""Brings a database to the schema this version of Dipole was written for.

Knows Alembic and the folder `migrations`; no table by name. A database that is already there
costs one query and does not load Alembic.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

import migrations
from server.store.session import parse_url, sqlite_engine, sqlite_file

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(migrations.__file__).parent

LOCK_KEY = 0x44_69_70_6F_6C_65
"""Postgres advisory lock ("Dipole"): two processes that start together migrate one by one."""


def migrate(url: str, revision: str = "head") -> None:
    """Create the database's tables or upgrade them; nothing to do if they are up to date.

    `revision` names another schema to go to, older ones included (`base` empties the database).
    Raises ValueError if the database was written by a newer Dipole.
    """
    if (file := sqlite_file(parse_url(url))) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    if revision == "head" and is_current(url):
        return
    with _connect(url) as connection:
        from alembic import command

        config = _configuration(connection)
        _refuse_newer(config, _revision_of(connection))
        is_older = revision != "head" and _is_behind(config, revision, _revision_of(connection))
        (command.downgrade if is_older else command.upgrade)(config, revision)
        _refuse_broken(connection)


def is_current(url: str) -> bool:
    """Whether the database has the schema this version was written for."""
    with _connect(url) as connection:
        return _revision_of(connection) == migrations.HEAD


def check(url: str) -> list[str]:
    """How the database's tables differ from `server.store.tables`; empty if they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from server.store.tables import Base, is_described

    options = {"compare_type": True, "include_name": is_described}
    with _connect(url) as connection:
        context = MigrationContext.configure(connection, opts=options)
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    """One connection in one transaction, which nobody else migrates beside.

    SQLite checks no foreign keys meanwhile: replacing a table would otherwise empty those
    that refer to it.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sqlite_engine(parsed, foreign_keys=False)
    else:
        engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            yield connection
    finally:
        engine.dispose()


def _configuration(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS))
    return config


def _refuse_broken(connection: Connection) -> None:
    """Roll back if, on SQLite, a row now refers to one that is gone."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"the migration would leave dangling references: {broken[:3]}")


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _refuse_newer(config: "Config", revision: str | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise ValueError(
            f"the database has schema {revision}, which this version does not know: upgrade Dipole"
        )


def _is_behind(config: "Config", revision: str, current: str | None) -> bool:
    from alembic.script import ScriptDirectory

    if revision == "base":
        return True
    if current is None or revision == current:
        return False
    script = ScriptDirectory.from_config(config)
    return revision in {step.revision for step in script.iterate_revisions(current, "base")}
