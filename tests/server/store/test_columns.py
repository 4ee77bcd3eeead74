from array import array

import pytest

from server.store.columns import FEATURE, NUMBERS, Columns, read_column
from server.store.feature_table import list_features
from server.store.indexes import (
    begin_index,
    list_indexes,
    publish_index,
    update_opposition,
    write_features,
)
from server.store.saes import get_sae
from tests.builders import feature_row


def revision_of(session, index: int) -> int:
    return next(each.revision for each in list_indexes(session) if each.id == index)


def test_columns_hold_what_the_rows_do(database, world):
    with database.read() as session:
        columns = {name: read_column(session, world.index, name) for name in (FEATURE, *NUMBERS)}
    rows = [feature_row(feature) for feature in columns[FEATURE]]
    assert list(columns[FEATURE]) == list(range(world.width))
    assert list(columns["density_neg"]) == [row.density_neg for row in rows]
    assert list(columns["max"]) == [max(row.max_pos, -row.max_neg) for row in rows]
    assert list(columns["firings"]) == [min(row.firings_pos, row.firings_neg) for row in rows]
    balance = [None if value != value else value for value in columns["pole_balance"]]
    assert balance == [row.pole_balance for row in rows]


def test_features_may_be_written_in_any_order_and_in_parts(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        for part in ([7, 2], [5], [0, 9]):
            write_features(session, index, [feature_row(feature) for feature in part])
        publish_index(session, index, 1, 1, 1, 1)
        page = list_features(session, get_sae(session, world.abstopk))
    assert [row.feature for row in page.rows] == [0, 2, 5, 7, 9]


def test_more_features_than_a_block_holds_are_stored_whole(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(session, index, [feature_row(feature) for feature in range(1_030)])
        column = read_column(session, index, FEATURE)
    assert list(column) == list(range(1_030))


def test_a_number_that_changes_is_sorted_by_at_once(database, world):
    def strongest() -> int:
        with database.read() as session:
            sae = get_sae(session, world.abstopk)
            page = list_features(session, sae, sort="opposition", descending=True, limit=1)
            return page.rows[0].feature

    assert strongest() != 9  # and the column is kept from here on
    with database.write() as session:
        update_opposition(session, world.index, [(9, 5.0), (999, 7.0)], {})
    assert strongest() == 9


def test_every_change_raises_the_revision(database, world):
    with database.write() as session:
        before = revision_of(session, world.index)
        update_opposition(session, world.index, [], {"null_95": 0.1})
        assert revision_of(session, world.index) == before + 1


def test_a_column_is_read_once_and_the_least_used_is_forgotten(database, world):
    columns = Columns(memory=2 * 8 * world.width)
    with database.read() as session:
        first = columns.of(session, world.index, 0, "max")
        assert columns.of(session, world.index, 0, "max") is first
        columns.of(session, world.index, 0, "density")
        columns.of(session, world.index, 0, "max")
        columns.of(session, world.index, 0, "opposition")
        assert columns.of(session, world.index, 0, "max") is first


@pytest.mark.parametrize("name", [FEATURE, *NUMBERS])
def test_an_index_without_features_has_empty_columns(database, world, name):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        assert read_column(session, index, name) == array("i" if name == FEATURE else "d")
