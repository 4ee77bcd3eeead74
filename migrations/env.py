"""What Alembic runs for each command: on the connection it is given, or on the settings' database.

Knows where the tables are described; opens a database only when called from Alembic's own
command line (`alembic revision --autogenerate`), which passes no connection.
"""

import os

from alembic import context
from sqlalchemy.engine import Connection

from server.settings import Settings
from server.store.session import parse_url, sqlite_engine
from server.store.tables import Base, is_described


def run(connection: Connection) -> None:
    """Run the asked-for migrations inside the connection's transaction, DDL included."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        include_name=is_described,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_from_command_line() -> None:
    """Open the database of DIPOLE_DATABASE_URL and run on it."""
    from sqlalchemy import create_engine

    url = parse_url(Settings.read(os.environ).database_url)
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = sqlite_engine(url, foreign_keys=False) if is_sqlite else create_engine(url)
    with engine.begin() as connection:
        run(connection)
    engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    run_from_command_line()
