import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Barrier, Event, Timer

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from server.settings import Settings
from server.store.runs import create_run
from server.store.session import Database, DatabaseBusy, Room, StorageFull, parse_url
from server.store.tables import Corpus, Run
from tests.postgres import url_of


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


def test_a_new_file_that_another_process_is_preparing_is_waited_for(tmp_path, open_database):
    """SQLite does not wait by itself where a file is switched to writing ahead."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE held (x)")
        Timer(0.3, lambda: other.execute("COMMIT")).start()
        with open_database(f"sqlite:///{path}").write() as session:
            assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"


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
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [process])
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


def test_a_full_disk_is_named_and_nothing_of_the_transaction_is_kept(sqlite_database):
    def fill_it() -> None:
        with sqlite_database.write() as session:
            pages = session.execute(text("PRAGMA page_count")).scalar_one()
            session.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
            for _ in range(100):
                add_run(session, "x" * 10_000)

    with pytest.raises(StorageFull, match="free some space"):
        fill_it()
    with sqlite_database.read() as session:
        assert count_runs(session) == 0
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_a_writer_that_waits_too_long_says_for_whom(sqlite_url, open_database, monkeypatch):
    monkeypatch.setattr("server.store.session.BUSY_SECONDS", 0)
    first, second = open_database(sqlite_url), open_database(sqlite_url)

    def write_beside() -> None:
        with second.write() as session:
            add_run(session)

    with first.write() as session:
        add_run(session)
        with pytest.raises(DatabaseBusy, match="another process has been writing"):
            write_beside()
    write_beside()


def test_new_work_is_refused_when_the_disk_is_nearly_full(sqlite_url, tmp_path):
    database = Database(sqlite_url, Room((tmp_path / "not" / "there" / "yet",), 2**40))
    try:
        with database.write() as session, pytest.raises(ValueError, match=r"MiB are free.*lower"):
            create_run(session, "map", {})
    finally:
        database.dispose()


def test_the_settings_say_how_much_room_is_required(tmp_path, sqlite_url):
    for least, is_refused in ((0, False), (1, False), (2**40, True)):
        database = Database.of(Settings(tmp_path, sqlite_url, min_free_mib=least))
        with ExitStack() as stack:
            stack.callback(database.dispose)
            session = stack.enter_context(database.write())
            if is_refused:
                stack.enter_context(pytest.raises(ValueError, match="DIPOLE_MIN_FREE_MIB"))
            create_run(session, "map", {})


def test_work_that_fails_for_another_reason_is_not_done_again(database):
    calls = []

    def work(session) -> None:
        calls.append(1)
        session.execute(text("SELECT nonsense"))

    with pytest.raises(DBAPIError):
        database.write_again(work)
    assert len(calls) == 1


@pytest.mark.postgres
def test_a_postgres_that_crashes_and_comes_back_is_written_to_and_read_again(
    restarting, open_database
):
    database = open_database(url_of(str(restarting.folder), "postgres"))
    attempts = []

    def work(session) -> int:
        attempts.append(1)
        add_run(session)
        if len(attempts) == 1:
            restarting.stop(signal.SIGQUIT)
            restarting.start()
        add_run(session)
        return count_runs(session)

    assert database.write_again(work) == 2
    assert len(attempts) == 2

    restarting.stop(signal.SIGQUIT)
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(database.write_again, count_runs, (0.0, 0.5, 1, 2, 4, 8, 16, 32))
        time.sleep(1)
        restarting.start()
        assert counting.result() == 2, "one that is away for a second is waited for"
    restarting.stop(signal.SIGQUIT)
    restarting.start()
    with database.read() as session:
        assert count_runs(session) == 2
