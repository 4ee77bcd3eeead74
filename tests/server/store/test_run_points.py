import math

import pytest

from server.store.run_points import MOST_POINTS, PointRecord, list_points, write_point
from server.store.runs import RunRecord, claim_run, create_run, reopen_run
from server.store.session import Database


def claimed(database: Database) -> RunRecord:
    with database.write() as session:
        run = claim_run(session, create_run(session, "train", {}))
    assert run is not None
    return run


def next_attempt(database: Database, run: RunRecord) -> RunRecord:
    with database.write() as session:
        assert reopen_run(session, run.id)
        again = claim_run(session, run.id)
    assert again is not None
    return again


def test_points_read_back_in_order(database):
    run = claimed(database)
    with database.write() as session:
        assert write_point(session, run, 10, 100, {"nmse": 0.5, "l0": 24.0})
        assert write_point(session, run, 20, 100, {"nmse": 0.25, "l0": 23.5})
    with database.read() as session:
        points = list_points(session, run.id)
    assert points == [
        PointRecord(10, 1, {"nmse": 0.5, "l0": 24.0}),
        PointRecord(20, 1, {"nmse": 0.25, "l0": 23.5}),
    ]


def test_a_reader_can_ask_for_what_is_new(database):
    run = claimed(database)
    with database.write() as session:
        for done in (10, 20, 30):
            write_point(session, run, done, 100, {"nmse": 0.5})
        assert [point.done for point in list_points(session, run.id, after=10)] == [20, 30]


def test_a_long_run_keeps_no_more_than_the_most(database):
    run = claimed(database)
    total = 4 * MOST_POINTS
    with database.write() as session:
        for done in range(total + 1):
            write_point(session, run, done, total, {"nmse": 0.5})
        points = list_points(session, run.id)
    assert len(points) == MOST_POINTS + 1
    assert (points[0].done, points[-1].done) == (0, total)


def test_a_later_attempt_replaces_what_it_measures_anew(database):
    run = claimed(database)
    with database.write() as session:
        for done in (10, 20, 30):
            write_point(session, run, done, 100, {"nmse": 0.5})
    again = next_attempt(database, run)
    with database.write() as session:
        write_point(session, again, 15, 100, {"nmse": 0.4})
        points = list_points(session, run.id)
    assert [(point.done, point.attempt) for point in points] == [(10, 1), (15, 2)]


def test_runs_do_not_share_points(database):
    first, second = claimed(database), claimed(database)
    with database.write() as session:
        write_point(session, first, 10, 100, {"nmse": 0.5})
        assert list_points(session, second.id) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_refused(database, value):
    run = claimed(database)
    with database.write() as session, pytest.raises(ValueError, match="nmse"):
        write_point(session, run, 10, 100, {"nmse": value})


def test_a_point_needs_a_total(database):
    run = claimed(database)
    with database.write() as session, pytest.raises(ValueError, match="total is known"):
        write_point(session, run, 10, 0, {"nmse": 0.5})
