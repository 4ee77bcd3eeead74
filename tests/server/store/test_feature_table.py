from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.store.feature_rows import FeatureFilters
from server.store.feature_table import SORTS, list_features
from server.store.indexes import begin_index, publish_index, write_features
from server.store.saes import get_sae
from tests.builders import feature_row

few = st.sampled_from([0.0, 0.1, 0.25, 0.3000000000000001])
scores = st.none() | st.sampled_from([-1.0, -0.5, 0.0, 0.1, 1 / 3])
random_rows = st.lists(st.tuples(few, few, scores, scores, scores), min_size=1, max_size=12)


def pages(database, limit: int, sae: str = "tiny-abstopk", **options) -> list:
    """Every page of a table, each read in a session of its own."""
    found, after = [], None
    while True:
        with database.read() as session:
            page = list_features(
                session, get_sae(session, sae), limit=limit, after=after, **options
            )
        found.append(page)
        after = page.next
        if after is None:
            return found


def rows(database, limit: int = 1000, **options) -> list:
    return [row for page in pages(database, limit, **options) for row in page.rows]


def key_of(row, sort: str):
    if sort == "density":
        return row.density["+"] + row.density["-"]
    if sort == "max":
        return max(row.max["+"], -row.max["-"])
    for name in ("density", "max"):
        if sort == f"{name}_pos":
            return getattr(row, name)["+"]
        if sort == f"{name}_neg":
            return abs(getattr(row, name)["-"])
    return getattr(row, sort)


def publish(session, world, values) -> None:
    index = begin_index(session, world.abstopk, world.corpus)
    names = ("density_pos", "density_neg", "pole_balance", "opposition", "consistency")
    write_features(
        session,
        index,
        [
            replace(feature_row(n), **dict(zip(names, row, strict=True)))
            for n, row in enumerate(values)
        ],
    )
    publish_index(session, index, 1, 1, 1, 1)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
def test_paging_visits_every_row_once_in_order(database, world, sort, descending):
    visited = rows(database, 5, sort=sort, descending=descending)
    assert sorted(row.feature for row in visited) == list(range(world.width))
    keys = [key_of(row, sort) for row in visited]
    present = [key for key in keys if key is not None]
    assert keys == sorted(present, reverse=descending) + [None] * (len(keys) - len(present))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
@given(
    values=random_rows,
    limit=st.integers(1, 4),
    sort=st.sampled_from(list(SORTS)),
    descending=st.booleans(),
)
def test_ties_and_missing_values_are_neither_skipped_nor_repeated(
    database, world, values, limit, sort, descending
):
    with database.write() as session:
        publish(session, world, values)
    visited = [row.feature for row in rows(database, limit, sort=sort, descending=descending)]
    at_once = [row.feature for row in rows(database, sort=sort, descending=descending)]
    assert visited == at_once
    assert sorted(visited) == list(range(len(values)))


def test_the_last_page_says_so_even_when_it_is_full(database, world):
    found = pages(database, 16)
    assert [len(page.rows) for page in found] == [16, 16]
    assert [page.total for page in found] == [32, 32]


def test_the_strongest_negative_feature_comes_first_when_sorting_by_it(database, world):
    first = rows(database, sort="max_neg", descending=True)[0]
    assert first.max["-"] == min(row.max["-"] for row in rows(database)) < 0


@pytest.mark.parametrize("least", [1, 20, 40])
def test_two_sided_asks_for_firings_of_both_poles(database, world, least):
    found = rows(database, filters=FeatureFilters(two_sided=least))
    expected = [row.feature for row in rows(database) if min(row.firings.values()) >= least]
    assert [row.feature for row in found] == expected


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        (FeatureFilters(min_balance=0.0), lambda row: (row.pole_balance or -1) >= 0),
        (FeatureFilters(max_balance=-1.0), lambda row: row.pole_balance == -1),
        (FeatureFilters(min_balance=-0.5, max_balance=0.5), lambda row: row.pole_balance is not None and abs(row.pole_balance) <= 0.5),
        (FeatureFilters(min_density=0.1), lambda row: sum(row.density.values()) >= 0.1),
        (FeatureFilters(min_density=2.0), lambda row: False),
        (FeatureFilters(max_density=0.1), lambda row: sum(row.density.values()) <= 0.1),
        (FeatureFilters(min_density_pos=0.1, max_density_neg=0.1), lambda row: row.density["+"] >= 0.1 >= row.density["-"]),
        (FeatureFilters(max_density_pos=0.1, min_density_neg=0.1), lambda row: row.density["-"] >= 0.1 >= row.density["+"]),
        (FeatureFilters(min_max_pos=3.5), lambda row: row.max["+"] >= 3.5),
        (FeatureFilters(min_max_neg=3.5), lambda row: row.max["-"] <= -3.5),
        (FeatureFilters(min_opposition=0.0), lambda row: (row.opposition if row.opposition is not None else -1) >= 0),
        (FeatureFilters(max_opposition=0.0), lambda row: (row.opposition if row.opposition is not None else 1) <= 0),
        (FeatureFilters(min_consistency=0.6, max_consistency=0.8), lambda row: 0.6 <= (row.consistency or 0) <= 0.8),
        (FeatureFilters(two_sided=20, min_opposition=0.0, max_density=0.2), lambda row: min(row.firings.values()) >= 20 and (row.opposition or -1) >= 0 and sum(row.density.values()) <= 0.2),
    ],
)  # fmt: skip
def test_filters_keep_what_they_say_and_the_total_follows(database, world, filters, keeps):
    expected = [row.feature for row in rows(database) if keeps(row)]
    found = pages(database, 3, filters=filters)
    assert [row.feature for page in found for row in page.rows] == expected
    assert {page.total for page in found} == {len(expected)}


@pytest.mark.parametrize(
    ("search", "feature", "matched"),
    [
        ("king", 0, ("-", "label")),
        ("QUEEN", 0, ("+", "label")),
        ("happy", 4, ("+", "label")),
        ("she", 1, ("+",)),
        ("he", 2, ("-",)),
        ("sad happy", 4, ("+", "-", "label")),
        ("king ↔ queen", 0, ("+", "-", "label")),
        ("forest", 1, ("+", "label")),
    ],
)
def test_search_says_which_pole_matched(database, world, search, feature, matched):
    found = {row.feature: row.matched for row in rows(database, search=search)}
    assert found[feature] == matched


@pytest.mark.parametrize(
    ("search", "features"),
    [
        ("100%", [1]),
        ("100%%", []),
        ("%", [1]),
        ("snake_case", [2]),
        ("snake%case", []),
        ("snakeXcase", []),
        ("_", [2]),
        ("/", [1]),
        ("\\", []),
        ("<b>forest", [1]),
        ("'; DROP TABLE feature; --", []),
        ("\x00", []),
        ("\ud800", []),
    ],
)
def test_search_takes_every_character_as_itself(database, world, search, features):
    assert [row.feature for row in rows(database, search=search)] == features


@pytest.mark.parametrize("search", ["", "   ", "\n"])
def test_an_empty_search_finds_everything_and_claims_no_match(database, world, search):
    found = rows(database, search=search)
    assert len(found) == world.width
    assert {row.matched for row in found} == {()}


def test_letters_beyond_ascii_are_found_in_either_case(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(
            session, index, [replace(feature_row(0), label_pos="ÄRGER", label_neg="мир")]
        )
        publish_index(session, index, 1, 1, 1, 1)
    assert rows(database, search="ärger")[0].matched == ("+",)
    assert rows(database, search="МИР")[0].matched == ("-",)


def test_a_searched_table_is_paged_like_any_other(database, world):
    found = rows(database, 2, search="she", sort="opposition", descending=True)
    assert len(found) == len({row.feature for row in found}) == len(rows(database, search="she"))
    assert pages(database, 2, search="she")[0].total == len(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sort": "colour"}, "cannot sort by colour: choose one of feature"),
        ({"sort": "label); DROP TABLE feature"}, "cannot sort by"),
        ({"limit": 0}, "between 1 and 1000"),
        ({"limit": 1001}, "between 1 and 1000"),
        ({"search": "x" * 201}, "at most 200 characters"),
        ({"after": ""}, "must be the `next`"),
        ({"after": "3"}, "must be the `next`"),
        ({"after": "nan~3"}, "must be the `next`"),
        ({"after": "0.5~-1"}, "must be the `next`"),
        ({"after": "0.5~99999999999999999999"}, "must be the `next`"),
        ({"after": "0.5~' OR 1=1"}, "must be the `next`"),
        ({"before": "3"}, "must be the `previous`"),
        ({"after": "3.0~3", "before": ""}, "give one of the two"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_a_sentence(database, world, options, message):
    with database.read() as session, pytest.raises(ValueError, match=message):
        list_features(session, get_sae(session, world.abstopk), **options)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
def test_paging_from_the_end_visits_the_same_rows_in_the_same_order(
    database, world, sort, descending
):
    expected = [row.feature for row in rows(database, sort=sort, descending=descending)]
    visited, before = [], ""
    while before is not None:
        with database.read() as session:
            page = list_features(
                session,
                get_sae(session, world.abstopk),
                sort=sort,
                descending=descending,
                limit=5,
                before=before,
            )
        visited = [row.feature for row in page.rows] + visited
        before = page.previous
    assert visited == expected


def test_one_can_go_back_where_one_came_from(database, world):
    with database.read() as session:
        sae = get_sae(session, world.abstopk)
        first = list_features(session, sae, sort="opposition", limit=6)
        second = list_features(session, sae, sort="opposition", limit=6, after=first.next)
        back = list_features(session, sae, sort="opposition", limit=6, before=second.previous)
    assert back.rows == first.rows
    assert (first.previous, back.previous, back.next) == (None, None, first.next)


def test_a_page_beyond_the_end_is_empty_and_leads_nowhere(database, world):
    with database.read() as session:
        page = list_features(session, get_sae(session, world.abstopk), after="31.0~31")
    assert (page.rows, page.total, page.next) == ((), world.width, None)


@pytest.mark.parametrize("sort", SORTS)
def test_a_page_reads_only_its_rows_and_whole_columns(sqlite_database, sqlite_world, sort):
    from sqlalchemy import event

    plans: list[str] = []
    with sqlite_database.read() as session:

        def explain(_, cursor, statement, parameters, *rest) -> None:
            raw = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in raw.fetchall())

        event.listen(session.connection(), "before_cursor_execute", explain)
        sae = get_sae(session, sqlite_world.abstopk)
        plans.clear()
        list_features(session, sae, sort=sort, limit=5, filters=FeatureFilters(min_density=0.1))
    assert plans
    assert all(plan.startswith("SEARCH") for plan in plans), plans
