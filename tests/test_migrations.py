import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

import migrations
from server.store import migrate as migrate_module
from server.store.migrate import check, is_current, migrate
from server.store.session import parse_url
from server.store.tables import Base
from tests.builders import build_world


def tables_of(url: str) -> set[str]:
    engine = create_engine(parse_url(url))
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_an_empty_database_gets_every_table(empty_url):
    migrate(empty_url)
    assert tables_of(empty_url) == {*Base.metadata.tables, "alembic_version"}


def test_the_migrated_tables_are_those_the_code_describes(database_url):
    assert check(database_url) == []


def test_a_changed_table_is_noticed(database_url):
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE model ADD COLUMN colour TEXT"))
    engine.dispose()
    assert "colour" in check(database_url)[0]


def test_down_and_up_again_leaves_the_same_schema(database_url):
    migrate(database_url, "base")
    assert tables_of(database_url) == {"alembic_version"}
    migrate(database_url)
    assert check(database_url) == []


def test_down_works_on_a_database_that_is_full(database, database_url):
    build_world(database)
    database.dispose()
    migrate(database_url, "base")
    assert tables_of(database_url) == {"alembic_version"}


def test_check_constraints_have_the_names_the_code_gives_them(database_url):
    engine = create_engine(parse_url(database_url))
    migrated = {
        constraint["name"]
        for table in Base.metadata.tables
        for constraint in inspect(engine).get_check_constraints(table)
    }
    engine.dispose()
    described = {
        constraint.name
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    assert migrated == described


def test_migrating_again_changes_nothing(database_url):
    migrate(database_url)
    assert is_current(database_url)


def test_a_database_without_tables_is_not_current(empty_url):
    assert not is_current(empty_url)


def test_a_database_of_a_newer_version_is_refused(database_url):
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ValueError, match=r"9999.*upgrade Dipole"):
        migrate(database_url)


def test_a_failed_migration_leaves_the_database_as_it_was(empty_url, monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("no space left")

    monkeypatch.setattr(migrate_module, "_refuse_broken", fail)
    with pytest.raises(RuntimeError, match="no space left"):
        migrate(empty_url)
    assert tables_of(empty_url) == set()


def test_processes_that_start_together_migrate_once(empty_url):
    code = "import sys; from server.store.migrate import migrate; migrate(sys.argv[1])"
    children = [
        subprocess.Popen([sys.executable, "-c", code, empty_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], errors
    assert is_current(empty_url)


def test_a_current_database_is_recognised_without_loading_alembic(sqlite_url):
    code = (
        "import sys; from server.store.migrate import migrate; migrate(sys.argv[1]);"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, sqlite_url], check=True)


def test_the_folder_of_a_sqlite_file_is_made(tmp_path):
    migrate(f"sqlite:///{tmp_path / 'new' / 'folder' / 'dipole.db'}")
    assert (tmp_path / "new" / "folder" / "dipole.db").exists()


def test_the_named_head_is_the_newest_revision():
    scripts = ScriptDirectory(str(migrate_module.SCRIPTS))
    assert scripts.get_heads() == [migrations.HEAD]
