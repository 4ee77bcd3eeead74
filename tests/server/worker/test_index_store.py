"""Every stored statistic against a brute-force pass, both poles, on SQLite and on Postgres."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.index.together import PARTNERS
from server.store.encoding import encode_activations
from server.store.example_lists import pack_lists, unpack_list
from server.store.index_rows import ExampleRow
from server.store.indexes import list_indexes
from server.store.session import Database
from server.worker.example_rows import ExampleRows
from server.worker.packing import pack_activations
from tests.server.worker.index_case import (
    NEGATIVE_ONLY,
    POSITIVE_ONLY,
    SILENT,
    WIDTH,
    Case,
    dense,
    features_of,
    make_case,
)

POLES = (("+", 1), ("-", -1))


@pytest.fixture
def case(database: Database, database_url: str, tmp_path: Path) -> Case:
    case = make_case(database, database_url, tmp_path)
    case.index()
    return case


def test_every_stored_figure_equals_a_brute_force_pass(case: Case) -> None:
    codes = dense(case)
    every = np.concatenate([code[1:] for code in codes])
    token = np.concatenate([window.tokens[1:] for window in case.windows])
    for found in features_of(case):
        column = every[:, found.feature]
        _check_totals(case, found, column)
        _check_tokens(case, found, column, token)
        _check_partners(found, every)
        for pole, sign in POLES:
            _check_contexts(case, found, codes, pole, sign)
            _check_samples(found, codes, pole, sign)
            _check_turns(found, case, codes, pole, sign)


def _check_totals(case: Case, found: Any, column: np.ndarray) -> None:
    details = found.details
    assert found.tokens == len(column) == details["histogram"]["tokens"]
    assert details["histogram"]["zeros"] == np.count_nonzero(column == 0)
    assert sum(details["histogram"]["counts"]) == np.count_nonzero(column)
    assert sum(details["logits"]["counts"]) == len(case.lm.vocabulary)
    for pole, sign in POLES:
        fired, record = column[sign * column > 0], found.poles[pole]
        assert record.firings == len(fired)
        assert_allclose(record.density, len(fired) / len(column))
        assert_allclose(record.sum, fired.sum(), rtol=1e-4)
        largest = sign * np.max(sign * fired, initial=0)
        assert_allclose(record.max, largest, atol=1e-4)
        for share, value in zip(
            details["quantiles"]["shares"], details["quantiles"][pole], strict=True
        ):
            if len(fired) == 0:
                assert value == 0
                continue
            exact = np.quantile(sign * fired, share, method="inverted_cdf")
            assert exact / 1.091 <= sign * value <= exact * 1.091
        assert_allclose(record.quantile_999, details["quantiles"][pole][-1], rtol=1e-5)
    counted = [sum(each[place] for each in details["intervals"]) for place in (2, 3)]
    assert sum(counted) <= np.count_nonzero(column)
    total = np.abs(column).sum()
    assert found.pole_balance == (
        None if total == 0 else pytest.approx(column.sum() / total, abs=1e-4)
    )


def _check_contexts(case: Case, found: Any, codes: list[np.ndarray], pole: str, sign: int) -> None:
    record = found.poles[pole]
    for contexts, by_mean in ((record.contexts, False), (record.contexts_by_mean, True)):
        best: dict[int, float] = {}
        for window, code in zip(case.windows, codes, strict=True):
            column = sign * code[1:, found.feature]
            score = float(column.mean() if by_mean else column.max())
            if score > 0:
                best[window.document] = max(best.get(window.document, 0.0), score)
        got = [sign * (context.mean if by_mean else context.value) for context in contexts]
        assert_allclose(got, sorted(best.values(), reverse=True)[:20], atol=1e-4)
        for context in contexts:
            code = codes[context.seq][:, found.feature]
            assert list(context.token_ids) == case.windows[context.seq].tokens.tolist()
            assert_allclose(context.activations, code, atol=1e-4, rtol=2e-5)
            assert_allclose(context.value, sign * (sign * code[1:]).max(), atol=1e-4)
            assert_allclose(context.value, code[context.position], atol=1e-4)


def _check_samples(found: Any, codes: list[np.ndarray], pole: str, sign: int) -> None:
    bounds = found.details["intervals"]
    for interval, contexts in found.poles[pole].samples.items():
        low, high = bounds[interval][:2]
        assert len({context.document for context in contexts}) == len(contexts) <= 3
        for context in contexts:
            assert low <= sign * context.value < high
            code = codes[context.seq][:, found.feature]
            assert_allclose(code[context.position], context.value, atol=1e-4)
    counts = [each[2 if sign > 0 else 3] for each in bounds]
    shown = {interval for interval, count in enumerate(counts) if count}
    assert set(found.poles[pole].samples) == shown


def _check_turns(found: Any, case: Case, codes: list[np.ndarray], pole: str, sign: int) -> None:
    best: dict[int, float] = {}
    count = 0
    for window, code in zip(case.windows, codes, strict=True):
        before, after = code[:-1, found.feature], code[1:, found.feature]
        turns = (before * after < 0) & (sign * after > 0)
        count += int(turns.sum())
        if turns.any():
            size = float(np.abs(after - before)[turns].max())
            best[window.document] = max(best.get(window.document, 0.0), size)
    assert found.details["turns"][pole] == count
    got = [
        abs(context.activations[context.position] - context.activations[context.position - 1])
        for context in found.poles[pole].turns
    ]
    assert_allclose(got, sorted(best.values(), reverse=True)[:5], rtol=1e-4)


def _check_tokens(case: Case, found: Any, column: np.ndarray, token: np.ndarray) -> None:
    stored = found.details["tokens"]
    assert stored["sampled"] == len(column)
    share = np.bincount(token, minlength=len(case.lm.vocabulary)) / len(token)
    for pole, sign in POLES:
        size = np.clip(sign * column, 0, None)
        mass = np.bincount(token, weights=size)
        expected = np.sort(mass[mass > 0])[::-1][:10]
        assert_allclose([sign * row[1] * row[2] for row in stored[pole]], expected, rtol=1e-4)
        for text, count, _, lift in stored[pole]:
            # Several ids may have the same text: one of them it must be.
            ids = [i for i, each in enumerate(case.lm.vocabulary) if each == text]
            counts = [np.count_nonzero(size[token == i]) for i in ids]
            assert count in counts
            here = ids[counts.index(count)]
            exact = count / np.count_nonzero(size) / share[here]
            assert_allclose(lift, exact, rtol=1e-4)


def _check_partners(found: Any, every: np.ndarray) -> None:
    stored = found.details["together"]
    assert stored["sampled"] == len(every)
    fires = every != 0
    own = fires[:, found.feature]
    expected = []
    for other in range(WIDTH):
        both = (own & fires[:, other]).mean()
        a, b = own.mean(), fires[:, other].mean()
        spread = np.sqrt(a * (1 - a) * b * (1 - b))
        is_shared = both * len(every) >= 2.5 and other != found.feature
        if is_shared and spread > 0 and both - a * b > 1e-12:
            expected.append((both - a * b) / spread)
    got = [row[1] for row in stored["features"]]
    assert_allclose(got, sorted(expected, reverse=True)[:PARTNERS], rtol=1e-4)
    for partner, _, lift, same_sign, shared in stored["features"]:
        both = own & fires[:, partner]
        assert shared == both.sum()
        assert_allclose(lift, both.mean() / own.mean() / fires[:, partner].mean(), rtol=1e-4)
        signs = np.sign(every[both])
        agree = (signs[:, found.feature] == signs[:, partner]).mean()
        assert_allclose(same_sign, agree, atol=1e-5)


def test_one_sided_constant_and_silent_features_have_their_own_figures(case: Case) -> None:
    found = features_of(case)
    silent = found[SILENT]
    assert [silent.poles[pole].firings for pole in "+-"] == [0, 0]
    assert silent.pole_balance is None
    assert silent.details["histogram"]["counts"] == []
    assert silent.details["histogram"]["zeros"] == silent.tokens
    # Stored with a + sign: the first index turns what is heavier on the − side.
    for feature in (NEGATIVE_ONLY, POSITIVE_ONLY):
        constant = found[feature]
        assert constant.poles["+"].density == 1
        assert constant.poles["-"].firings == 0
        assert constant.pole_balance == 1
        assert constant.poles["-"].contexts == ()
        assert len(constant.poles["+"].contexts) == 20
        assert constant.details["together"]["features"] == []
    with case.database.read() as session:
        (index,) = list_indexes(session, case.sae_id)
    alive = [each for each in found if each.poles["+"].firings + each.poles["-"].firings]
    assert index.live == len(alive)


def test_activations_packed_together_are_those_packed_one_by_one() -> None:
    random = np.random.default_rng(0)
    length = random.integers(0, 6, 300)
    offsets = np.concatenate(
        [
            np.sort(random.choice(700 if row % 3 else 200, size, replace=False))
            for row, size in enumerate(length)
        ]
    ).astype(np.uint16)
    values = random.normal(size=len(offsets)) * 10.0 ** random.integers(-20, 20, len(offsets))
    values[:2] = np.finfo(np.float32).max, -np.finfo(np.float32).max
    values = values.astype(np.float32)
    ends = np.cumsum(length)
    alone = [
        encode_activations(zip(offsets[a:b].tolist(), values[a:b].tolist(), strict=True))
        for a, b in zip(ends - length, ends, strict=True)
    ]
    packed = pack_activations(length, offsets, values)
    assert packed.whole == b"".join(alone)
    assert packed.ends.tolist() == np.cumsum([len(each) for each in alone]).tolist()
    assert pack_activations(length[:0], offsets[:0], values[:0]).whole == b""


def test_lists_packed_from_arrays_are_those_packed_row_by_row(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    rows = ExampleRows(make_case(sqlite_database, sqlite_url, tmp_path).begin().indexers[0])
    lists = sorted(rows.lists(range(WIDTH)))
    assert {(each.kind, each.pole) for each in lists} == {(k, p) for k in range(4) for p in (0, 1)}
    examples = [
        ExampleRow(each.feature, *example)
        for each in lists
        for example in unpack_list(each.kind, each.pole, each.packed)
    ]
    assert sorted(pack_lists(examples)) == lists
    parts = (rows.lists(range(start, start + 3)) for start in range(0, WIDTH, 3))
    assert sorted(each for part in parts for each in part) == lists
