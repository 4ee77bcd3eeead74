"""What an index stores beside its examples against plain computations, on SQLite and on Postgres."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.index.labels import visible
from models.index.opposition import score_opposition
from server.store.columns import FEATURE, NUMBERS, read_column
from server.store.features import labels_of
from server.store.indexes import list_indexes
from server.store.session import Database
from server.worker.library import open_sae, require_sae
from tests.server.worker.index_case import WIDTH, Case, dense, features_of, make_case

POLES = (("+", 1), ("-", -1))


@pytest.fixture
def case(database: Database, database_url: str, tmp_path: Path) -> Case:
    case = make_case(database, database_url, tmp_path)
    case.index()
    return case


def test_histograms_consistency_and_labels_equal_a_brute_force_pass(case: Case) -> None:
    codes = dense(case)
    every = np.concatenate([code[1:] for code in codes])
    token = np.concatenate([window.tokens[1:] for window in case.windows])
    for found in features_of(case):
        check_bins(found, every[:, found.feature])
        check_consistency(found, codes)
        check_labels(case, found, token)


def check_bins(found: Any, column: np.ndarray) -> None:
    """The histogram bin by bin, the intervals octave by octave, both mirrored about 0."""
    histogram, size = found.details["histogram"], np.abs(column[column != 0])
    if len(size) == 0:
        assert histogram["counts"] == found.details["intervals"] == []
        return
    halves = np.floor(np.log2(size.astype(np.float64)) * 2).astype(int)
    for pole, (_, sign) in enumerate(POLES):
        fired = sign * column[sign * column > 0]
        places = np.floor(np.log2(fired.astype(np.float64)) * 2).astype(int)
        expected = [np.count_nonzero(places == n) for n in range(halves.min(), halves.max() + 1)]
        counts = histogram["counts"]
        middle = len(counts) // 2
        assert counts[middle] == 0
        assert (counts[middle + 1 :] if sign > 0 else counts[:middle][::-1]) == expected
        for low, high, *count in found.details["intervals"]:
            assert high == 2 * low
            assert count[pole] == np.count_nonzero((fired >= low) & (fired < high))
    edges = histogram["edges"]
    assert edges == [-edge for edge in edges[::-1]]
    lowest = 2.0 ** (np.arange(halves.min(), halves.max() + 2) / 2)
    assert_allclose(edges[len(edges) // 2 :], lowest, rtol=1e-5)


def check_consistency(found: Any, codes: list[np.ndarray]) -> None:
    """Cohen's κ of the signs of the sums over the halves of each window."""
    signs = []
    for code in codes:
        column = code[1:, found.feature].astype(np.float64)
        middle = len(column) / 2
        halves = [column[np.arange(1, len(column) + 1) <= middle].sum()]
        halves.append(column[np.arange(1, len(column) + 1) > middle].sum())
        if all(halves):
            signs.append(np.sign(halves))
    if not signs:
        assert found.consistency is None
        return
    first, second = np.array(signs).T
    agree = (first == second).mean()
    p, q = (first > 0).mean(), (second > 0).mean()
    chance = p * q + (1 - p) * (1 - q)
    if chance == 1:
        assert found.consistency is None
    else:
        assert_allclose(found.consistency, (agree - chance) / (1 - chance), atol=1e-6)


def check_labels(case: Case, found: Any, token: np.ndarray) -> None:
    """Each word of a label against its share of the pole's extremes and of the text."""
    text = np.bincount(token, minlength=len(case.lm.vocabulary))
    words = [visible(each) for each in case.lm.vocabulary]
    for pole, _ in POLES:
        record = found.poles[pole]
        ids = [context.token_ids[context.position] for context in record.contexts]
        stored = found.details["labels"][pole]
        assert record.label == ", ".join(word for word, _ in stored)
        weights = {}
        for word in {words[each] for each in ids}:
            same = [each for each in ids if words[each] == word]
            common = sum(int(text[each]) for each in set(same))
            lift = len(same) / len(ids) / (common / len(token))
            weights[word] = (len(same) * np.log1p(max(lift, 1)), lift)
        best = sorted((weight for weight, _ in weights.values()), reverse=True)[:3]
        assert_allclose([weights[word][0] for word, _ in stored], best, rtol=1e-6)
        assert_allclose(
            [lift for _, lift in stored], [weights[word][1] for word, _ in stored], 1e-5
        )


def test_what_a_feature_s_weights_say_equals_plain_products(case: Case) -> None:
    sae = open_sae(case.context.settings, require_sae(case.database, case.sae_id))
    rows = sae.W_dec.detach().double().numpy()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = unit @ unit.T
    effect = case.lm.logit_effect(sae.W_dec).double().numpy()
    for found in features_of(case):
        others = np.delete(cosine[found.feature], found.feature)
        for side, ordered in (
            (found.neighbours.aligned, np.sort(others)[::-1]),
            (found.neighbours.opposed, np.sort(others)),
        ):
            assert_allclose([each.cosine for each in side], ordered[:8], atol=1e-5)
            for each in side:
                assert_allclose(cosine[found.feature, each.feature], each.cosine, atol=1e-5)
                assert each.label == features_label(case, each.feature)
        for pole, sign in POLES:
            logits = sign * effect[found.feature]
            for stored, ordered in (
                (found.poles[pole].promoted, np.sort(logits)[::-1]),
                (found.poles[pole].suppressed, np.sort(logits)),
            ):
                assert_allclose([each.logit for each in stored], ordered[:10], rtol=1e-4)
                for token, logit in stored:
                    same = [i for i, each in enumerate(case.lm.vocabulary) if each == token]
                    assert np.abs(logits[same] - logit).min() < 1e-4


def features_label(case: Case, feature: int) -> str:
    record = require_sae(case.database, case.sae_id)
    with case.database.read() as session:
        return labels_of(session, record.published_index_id or 0, [feature])[feature]


def test_what_a_table_sorts_by_is_what_its_rows_say(case: Case) -> None:
    found = features_of(case)
    with case.database.read() as session:
        (index,) = list_indexes(session, case.sae_id)
        columns = {name: list(read_column(session, index.id, name)) for name in (FEATURE, *NUMBERS)}
    assert columns[FEATURE] == list(range(WIDTH))
    plus, minus = ([each.poles[pole] for each in found] for pole in "+-")
    expected = {
        "firings": [min(a.firings, b.firings) for a, b in zip(plus, minus, strict=True)],
        "density_pos": [each.density for each in plus],
        "density_neg": [each.density for each in minus],
        "density": [a.density + b.density for a, b in zip(plus, minus, strict=True)],
        "max_pos": [each.max for each in plus],
        "max_neg": [each.max for each in minus],
        "max": [max(a.max, -b.max) for a, b in zip(plus, minus, strict=True)],
        "pole_balance": [each.pole_balance for each in found],
        "opposition": [each.opposition for each in found],
        "consistency": [each.consistency for each in found],
    }
    assert set(expected) == set(NUMBERS)
    for name, values in expected.items():
        assert_allclose(columns[name], [np.nan if v is None else v for v in values], err_msg=name)


def test_the_opposition_stored_is_that_of_the_arrays(case: Case) -> None:
    indexer = case.begin().indexers[0]
    missing = len(case.lm.vocabulary) - len(indexer.background)
    result = score_opposition(case.lm, indexer, np.pad(indexer.background, (0, missing)))
    for found, score in zip(features_of(case), result.score, strict=True):
        if np.isnan(score):
            assert found.opposition is None
        else:
            assert_allclose(found.opposition, score, rtol=1e-4, atol=1e-4)
        assert found.null_summary["draws"] == result.draws
        assert_allclose(found.null_summary["percentiles"], result.percentiles, rtol=1e-4, atol=1e-4)
