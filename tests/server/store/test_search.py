from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.store import feature_table
from server.store.encoding import clean_text
from server.store.feature_rows import FeatureFilters
from server.store.feature_table import list_features
from server.store.indexes import (
    begin_index,
    delete_index,
    publish_index,
    write_features,
)
from server.store.saes import get_sae
from server.store.search import search
from server.store.search_terms import matches, normalise, terms_of, words_of
from tests.builders import feature_row

LABELS = (
    "king, QUEEN",
    "Müller fährt Straßenbahn",
    "中文模型",
    "שלום עולם",
    "مرحبا",
    "👩\u200d👩\u200d👧 family",
    "snake_case camelCase don't",
    "</script><b>bold",
    'she said "no" AND NOT (yes*)',
    "' OR 1=1 --",
    "back\\slash \\' :* & | ! <->",
    "NEAR(a b) col:term ^start",
    "\u202eevil \x00nul \ud800half",
    ",",
    "İstanbul ǅ ﬁne Ⅷ",
    "e\u0301te\u0301 ete",
)
OPERATORS = "\"'*:&|!()\\<>-^ \x00\ud800%_"


def publish(database, world, labels, sae: str = "abstopk") -> int:
    with database.write() as session:
        index = begin_index(session, getattr(world, sae), world.corpus)
        rows = [
            replace(
                feature_row(n),
                label="",
                label_pos=label,
                label_neg="",
                tokens_pos=(),
                tokens_neg=(),
            )
            for n, label in enumerate(labels)
        ]
        write_features(session, index, rows)
        publish_index(session, index, 1, 1, 1, 1)
    return index


def found(database, typed: str, **options) -> list[int]:
    with database.read() as session:
        page = list_features(
            session, get_sae(session, "tiny-abstopk"), search=typed, limit=1000, **options
        )
        return [row.feature for row in page.rows]


@pytest.fixture
def labelled(database, world):
    publish(database, world, LABELS)
    return database


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("king", [0]),
        ("ki", [0]),
        ("k", [0]),
        ("ing", []),
        ("queen king", [0]),
        ("king,", [0]),
        (",", [13]),
        ("muller", [1]),
        ("MÜLLER", [1]),
        ("fahrt", [1]),
        ("STRASSE", [1]),
        ("straße", [1]),
        ("文", [2]),
        ("模型", [2]),
        ("שלום", [3]),
        ("עולם שלום", [3]),
        ("مرحبا", [4]),
        ("حبا", [4]),
        ("👧", [5]),
        ("fam", [5]),
        ("case", [6]),
        ("_case", [6]),
        ("snake_c", [6]),
        ("don't", [6]),
        ("</script>", [7]),
        ("bold", [7]),
        ("<b>bo", [7]),
        ('"no"', [8]),
        ("no", [8]),
        ("AND", [8]),
        ("NOT", [8]),
        ("(yes*)", [8]),
        ("yes*", [8]),
        ("ye*", []),
        ("' or", [9]),
        ("1=1", [9]),
        ("--", [9]),
        ("\\slash", [10]),
        ("\\'", [10]),
        (":*", [10]),
        ("&", [10]),
        ("<->", [10]),
        ("near(a", [11]),
        ("col:term", [11]),
        ("^start", [11]),
        ("evil", [12]),
        ("\u202eevil", [12]),
        ("␀nul", [12]),
        ("half", [12]),
        ("istanbul", [14]),
        ("fine", [14]),
        ("viii", [14]),
        ("ete", [15]),
        ("été", [15]),
        ("king OR queen", []),
        ("zebra", []),
    ],
)
def test_a_search_finds_beginnings_of_words_whatever_is_typed(labelled, typed, expected):
    assert found(labelled, typed) == expected


@pytest.mark.parametrize("typed", ["↔", "\u202e", "\x01\x02", "  \t "])
def test_what_has_no_word_in_it_narrows_nothing(labelled, typed):
    assert len(found(labelled, typed)) == len(LABELS)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(typed=st.text(st.characters() | st.sampled_from(OPERATORS), max_size=12))
def test_the_engine_finds_what_the_terms_say_for_all_that_can_be_typed(labelled, typed):
    words = words_of(clean_text(typed))
    expected = [
        number
        for number, label in enumerate(LABELS)
        if all(matches([word], terms_of([clean_text(label)])) for word in words)
    ]
    assert found(labelled, typed) == expected


def test_a_search_in_one_index_knows_nothing_of_another(database, world):
    other = publish(database, world, ["zebra"], "topk")
    mine = publish(database, world, ["queen", "zebra crossing"])
    with database.read() as session:
        assert list(search(session, other, ["zebra"]).features) == [0]
        assert list(search(session, mine, ["zebra"]).features) == [1]


def test_a_search_for_nothing_is_refused(database, world):
    with database.read() as session, pytest.raises(ValueError, match="nothing to search for"):
        search(session, world.index, [])


def test_deleting_an_index_leaves_nothing_to_be_found(database, world):
    with database.write() as session:
        before = search(session, world.building_index, ["queen"]).features
        delete_index(session, world.building_index)
        after = [search(session, world.building_index, [word]) for word in ("queen", "k", "s", "h")]
    assert before
    assert {tuple(each.features) for each in after} == {()}


def test_the_search_of_a_replaced_index_goes_with_it_in_short_transactions(database, world):
    publish(database, world, ["new"])
    is_gone = False
    while not is_gone:
        with database.write() as session:
            is_gone = delete_index(session, world.index, features=5)
    with database.read() as session:
        assert search(session, world.index, ["king"]).features == []
    assert found(database, "new") == [0]


def test_tokens_that_the_label_does_not_name_are_found_too(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        row = replace(
            feature_row(0),
            label_pos="she",
            tokens_pos=(" she", " herself", "\n"),
            tokens_neg=(" he",),
        )
        write_features(session, index, [row])
        publish_index(session, index, 1, 1, 1, 1)
    assert found(database, "herself") == found(database, "she") == found(database, "he") == [0]


@pytest.mark.parametrize("is_back", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 7])
def test_what_very_many_have_is_paged_in_order_without_being_counted(
    database, world, limit, is_back
):
    labels = [f"the {'odd' if number % 2 else 'even'}" for number in range(40)]
    publish(database, world, labels)
    visited, place = [], {"before": ""} if is_back else {}
    while place is not None:
        with database.read() as session:
            page = list_features(
                session,
                get_sae(session, "tiny-abstopk"),
                search="odd the",
                sort="max",
                limit=limit,
                most_matches=5,
                **place,
            )
        assert (page.total, page.is_total_exact) == (5, False)
        rows = [row.feature for row in page.rows]
        visited = rows + visited if is_back else visited + rows
        onward = page.previous if is_back else page.next
        place = onward and ({"before": onward} if is_back else {"after": onward})
    whole = found(database, "odd the", sort="max")
    assert visited == whole
    assert len(whole) == 20


@pytest.mark.parametrize(("walk", "is_exact"), [(4_096, True), (4, False)])
def test_a_search_too_common_to_be_counted_never_claims_more_than_its_filters_leave(
    database, world, monkeypatch, walk, is_exact
):
    monkeypatch.setattr(feature_table, "WALK", walk)
    labels = [f"the {'odd' if number % 2 else 'even'}" for number in range(40)]
    publish(database, world, labels)
    filters = FeatureFilters(min_balance=0.1)
    with database.read() as session:
        sae = get_sae(session, "tiny-abstopk")
        counted = list_features(session, sae, search="odd", filters=filters)
        page = list_features(session, sae, search="odd", filters=filters, limit=3, most_matches=5)
    assert counted.total > 4
    assert page.is_total_exact == is_exact
    assert page.rows == counted.rows[:3]
    assert page.total == counted.total if is_exact else page.total < counted.total


def test_a_search_can_be_filtered_and_its_total_is_exact(database, world):
    with database.read() as session:
        page = list_features(
            session,
            get_sae(session, "tiny-abstopk"),
            search="she",
            filters=FeatureFilters(min_balance=0.9),
        )
    assert page.is_total_exact
    assert page.total == len(page.rows) > 0
    assert all(row.pole_balance >= 0.9 for row in page.rows)


@given(st.text())
def test_normalising_again_changes_nothing(typed):
    once = normalise(typed)
    assert normalise(once) == once


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_word_finds_itself(typed):
    terms = terms_of([typed])
    assert all(word in terms for word in words_of(typed))
    assert not any(term.split() != [term] for term in terms)
