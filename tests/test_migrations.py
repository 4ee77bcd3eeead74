import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, delete, inspect, text

import migrations
from server.store import migrate as migrate_module
from server.store.feature_table import list_features
from server.store.features import get_feature
from server.store.indexes import begin_index, delete_index, publish_index, write_features
from server.store.migrate import check, is_current, migrate
from server.store.saes import get_sae
from server.store.session import parse_url
from server.store.tables import SEARCH, Base, Example
from tests.builders import build_world, feature_row


def tables_of(url: str) -> set[str]:
    engine = create_engine(parse_url(url))
    try:
        names = inspect(engine).get_table_names()
        # FTS5 keeps its own tables beside the one that is asked.
        return {name for name in names if not name.startswith(f"{SEARCH}_")}
    finally:
        engine.dispose()


def test_an_empty_database_gets_every_table(empty_url):
    migrate(empty_url)
    assert tables_of(empty_url) == {*Base.metadata.tables, SEARCH, "alembic_version"}


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


@pytest.mark.parametrize("revision", ["0001", "0002", "0005"])
def test_down_and_up_again_keeps_what_is_stored(database, database_url, revision):
    world = build_world(database)
    if revision == "0001":  # which has no place for samples and turns: they go, and stay away
        with database.write() as session:
            session.execute(delete(Example).where(Example.kind >= 2))

    def everything() -> tuple[object, ...]:
        with database.read() as session:
            sae = get_sae(session, world.abstopk)
            table = list_features(session, sae, sort="opposition", search="s", limit=1000)
            return get_feature(session, sae, 0), get_feature(session, sae, 2), table

    before = everything()
    database.dispose()
    migrate(database_url, revision)
    migrate(database_url)
    assert everything() == before
    with database.write() as session:
        publish_index(session, world.building_index, 1, 1, 1, 1)
        assert delete_index(session, _new_index(session, world))


def _new_index(session, world) -> int:
    index = begin_index(session, world.topk, world.corpus)
    write_features(session, index, [feature_row(0, "label", ("snake", "queen"))])
    return index


def test_the_bulk_tables_of_sqlite_are_strict(sqlite_database):
    query = text("SELECT name FROM pragma_table_list WHERE strict")
    with sqlite_database.read() as session:
        found = {row.name for row in session.execute(query)}
    assert {"seq", "feature", "feature_column", "example"} <= found


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
