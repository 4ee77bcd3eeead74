from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from server.store.session import Database, parse_url
from server.store.tables import Corpus, Run


def add_run(session, kind: str = "map") -> None:
    values = {"state": "queued", "attempt": 0, "payload": "{}", "done": 0, "total": 0}
    session.execute(
        insert(Run).values(kind=kind, message="", cancel_requested=False, created_at="", **values)
    )


def count_runs(session) -> int:
    return session.execute(select(func.count()).select_from(Run)).scalar()


def test_what_is_written_is_there_for_the_next_reader(database):
    with database.write() as session:
        add_run(session)
    with database.read() as session:
        assert count_runs(session) == 1


def test_an_exception_undoes_the_whole_transaction(database):
    def fail_half_way() -> None:
        with database.write() as session:
            add_run(session)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_half_way()
    with database.read() as session:
        assert count_runs(session) == 0


def test_a_reader_cannot_write(database):
    with database.read() as session, pytest.raises(DBAPIError):
        add_run(session)


def test_a_reader_sees_one_moment_from_its_first_query_to_its_last(database):
    with database.read() as reader:
        before = count_runs(reader)
        with database.write() as writer:
            add_run(writer)
        assert count_runs(reader) == before


def test_a_reference_to_nothing_is_refused(database):
    values = {"name": "a", "source": "b", "fingerprint": "c", "bos_policy": "d", "created_at": "e"}
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(
            insert(Corpus).values(model_id=77, windows=1, tokens=1, context=1, **values)
        )


def test_many_writers_at_once_never_find_the_database_locked(database):
    def write_ten(writer: int) -> None:
        for _ in range(10):
            with database.write() as session:
                count_runs(session)  # a read first is what makes a plain BEGIN fail
                add_run(session, f"writer {writer}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_ten, range(8)))
    with database.read() as session:
        assert count_runs(session) == 80


def test_writers_of_several_processes_never_find_the_database_locked(database_url, open_database):
    databases = [open_database(database_url) for _ in range(4)]
    start = Barrier(4)

    def write_ten(database: Database) -> None:
        start.wait()
        for _ in range(10):
            with database.write() as session:
                add_run(session)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_ten, databases))
    with databases[0].read() as session:
        assert count_runs(session) == 40


def test_readers_go_on_while_someone_writes(database):
    written, finish = Event(), Event()

    def hold_a_transaction_open() -> None:
        with database.write() as session:
            add_run(session)
            written.set()
            finish.wait(30)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(hold_a_transaction_open)
        written.wait(30)
        with database.read() as session:
            seen = count_runs(session)
        finish.set()
        writer.result()
    assert seen == 0


def test_sqlite_writes_ahead_and_checks_references(sqlite_database):
    with sqlite_database.write() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.postgres
def test_postgres_cutting_a_connection_costs_no_later_request(postgres_server, open_database):
    from tests.postgres import connect, url_of

    database = open_database(url_of(postgres_server, "postgres"))
    with database.read() as session:
        process = session.execute(text("SELECT pg_backend_pid()")).scalar()
    with connect(postgres_server) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
    with database.read() as session:
        assert session.execute(text("SELECT 1")).scalar() == 1


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///dipole.db", "sqlite+pysqlite"),
        ("postgresql://me@db/dipole", "postgresql+psycopg"),
        ("postgres://me@db/dipole", "postgresql+psycopg"),
        ("postgresql+psycopg://me@db/dipole", "postgresql+psycopg"),
    ],
)
def test_a_url_gets_the_driver_we_ship(url, driver):
    assert parse_url(url).drivername == driver


@pytest.mark.parametrize(
    "url", ["dipole.db", "", "mysql://db/x", "sqlite://", "sqlite:///:memory:", "file:dipole.db"]
)
def test_a_url_we_cannot_open_is_refused_with_a_way_out(url):
    with pytest.raises(ValueError, match=r"sqlite:///|postgresql://"):
        parse_url(url)


def test_the_password_is_not_in_the_refusal():
    with pytest.raises(ValueError, match="supported") as refusal:
        parse_url("mysql://me:hush@db/x")
    assert "hush" not in str(refusal.value)
