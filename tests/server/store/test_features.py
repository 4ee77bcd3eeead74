from dataclasses import replace

import pytest

from server.store.corpora import SequenceRow, add_sequences, create_corpus
from server.store.encoding import encode_activations, float32
from server.store.features import get_feature, labels_of
from server.store.index_rows import (
    EXTREME,
    INTERVAL,
    NEGATIVE,
    POSITIVE,
    SAMPLES,
    TURN,
    ExampleRow,
)
from server.store.indexes import begin_index, publish_index, write_features
from server.store.language_models import upsert_model
from server.store.saes import create_sae, get_sae
from tests.builders import (
    CONTEXT,
    NEGATIVE_ONLY,
    NEVER,
    POSITIVE_ONLY,
    TWO_SIDED,
    WINDOWS,
    activation_of,
    feature_row,
    write_examples,
)


def read(database, feature: int, **options):
    with database.read() as session:
        return get_feature(session, get_sae(session, "tiny-abstopk"), feature, **options)


def fired(feature: int, sign: int) -> list[float]:
    values = [activation_of(feature, w, p) for w in range(WINDOWS) for p in range(CONTEXT)]
    return [value for value in values if value * sign > 0]


@pytest.mark.parametrize("feature", [TWO_SIDED, POSITIVE_ONLY, NEGATIVE_ONLY, NEVER])
@pytest.mark.parametrize(("pole", "sign"), [("+", 1), ("-", -1)])
def test_counts_and_signs_survive_the_round_trip(database, world, feature, pole, sign):
    values = fired(feature, sign)
    record = read(database, feature).poles[pole]
    assert record.firings == len(values)
    assert record.density == len(values) / (WINDOWS * CONTEXT)
    assert record.sum == sum(values)
    assert record.max == max(values, key=abs, default=0.0)
    assert record.quantile_999 == record.max


@pytest.mark.parametrize("feature", [TWO_SIDED, POSITIVE_ONLY, NEGATIVE_ONLY, NEVER])
@pytest.mark.parametrize(("pole", "sign"), [("+", 1), ("-", -1)])
def test_contexts_hold_the_activation_of_every_token(database, world, feature, pole, sign):
    record = read(database, feature).poles[pole]
    shown = {
        context.seq: context.activations for context in record.contexts + record.contexts_by_mean
    }
    expected = {seq: tuple(activation_of(feature, seq, p) for p in range(CONTEXT)) for seq in shown}
    assert shown == expected


@pytest.mark.parametrize("feature", [TWO_SIDED, POSITIVE_ONLY, NEGATIVE_ONLY, NEVER])
@pytest.mark.parametrize(("pole", "sign"), [("+", 1), ("-", -1)])
def test_each_context_is_centred_on_its_own_extreme_token(database, world, feature, pole, sign):
    contexts = read(database, feature).poles[pole].contexts
    for context in contexts:
        assert context.value == context.activations[context.position]
        assert context.value == sign * max(sign * value for value in context.activations)
    strengths = [abs(context.value) for context in contexts]
    assert strengths == sorted(strengths, reverse=True)


def test_the_strongest_context_shows_the_maximum(database, world):
    poles = read(database, world.two_sided).poles
    assert [poles[p].contexts[0].value for p in "+-"] == [poles[p].max for p in "+-"]


def test_contexts_by_mean_are_ranked_by_their_mean(database, world):
    contexts = read(database, world.two_sided).poles["-"].contexts_by_mean
    means = [context.mean for context in contexts]
    assert means == sorted(means)
    assert means[0] < 0


def test_tokens_are_the_exact_strings_of_the_window(database, world):
    contexts = read(database, world.two_sided).poles["+"].contexts
    shown = {context.seq: context.tokens for context in contexts}
    expected = {seq: tuple(world.vocabulary[t] for t in world.windows[seq]) for seq in shown}
    assert shown == expected
    assert {"\x00", "\ud800", "<script>alert(1)</script>"} & {t for c in contexts for t in c.tokens}


def test_a_context_says_where_it_stands(database, world):
    context = read(database, world.two_sided).poles["+"].contexts[0]
    assert context.document == context.seq // 4
    assert context.start == context.seq % 4 * CONTEXT
    assert context.token_ids == world.windows[context.seq]


@pytest.mark.parametrize("radius", [0, 1, 3, 100])
def test_a_cut_context_keeps_its_extreme_token_in_place(database, world, radius):
    whole = read(database, world.two_sided).poles["-"].contexts
    cut = read(database, world.two_sided, radius=radius).poles["-"].contexts
    for long, short in zip(whole, cut, strict=True):
        begin = short.start - long.start
        assert short.tokens == long.tokens[begin : begin + len(short.tokens)]
        assert short.activations[short.position] == short.value == long.value
        assert short.position <= radius
        assert len(short.tokens) - short.position - 1 <= radius
        assert short.mean == long.mean


@pytest.mark.parametrize("most", [0, 1, 3])
def test_at_most_so_many_contexts_are_read(database, world, most):
    pole = read(database, world.two_sided, contexts=most).poles["+"]
    assert (len(pole.contexts), len(pole.contexts_by_mean)) == (most, most)


@pytest.mark.parametrize(
    ("name", "present"),
    [("positive_only", "+"), ("negative_only", "-"), ("two_sided", "+-"), ("never", "")],
)
def test_a_pole_that_never_fires_is_there_and_empty(database, world, name, present):
    record = read(database, getattr(world, name))
    assert set(record.poles) == {"+", "-"}
    for pole in record.poles.values():
        has_fired = pole.pole in present
        assert (pole.firings > 0, pole.max != 0, bool(pole.contexts)) == (has_fired,) * 3


def test_a_feature_that_never_fires_has_no_balance(database, world):
    assert read(database, world.never).pole_balance is None


def test_the_negative_pole_negates_the_logits_exactly(database, world):
    poles = read(database, world.two_sided).poles
    assert poles["+"].promoted[0] == (" queen", 1.5)
    assert poles["-"].promoted == tuple((t, -x) for t, x in poles["+"].suppressed)
    assert poles["-"].suppressed == tuple((t, -x) for t, x in poles["+"].promoted)


def test_the_histogram_counts_every_token_once(database, world):
    histogram = read(database, world.two_sided).histogram
    assert sum(histogram.counts) + histogram.zeros == histogram.tokens == WINDOWS * CONTEXT
    assert len(histogram.edges) == len(histogram.counts) + 1


def test_neighbours_carry_their_labels(database, world):
    neighbours = read(database, world.two_sided).neighbours
    assert neighbours.aligned[0] == (1, 0.5, "100% <b>forest</b>")
    assert neighbours.opposed[0] == (4, -0.75, "sad ↔ happy")


@pytest.mark.parametrize("feature", [-1, 32, 2**31, 2**70])
def test_a_feature_that_is_not_there_is_none(database, world, feature):
    assert read(database, feature) is None


def test_a_token_the_vocabulary_lacks_is_shown_by_its_id(database, world):
    record = read(database, world.two_sided, vocabulary=["<|endoftext|>"])
    context = record.poles["+"].contexts[0]
    assert context.tokens[1] == f"<{context.token_ids[1]}>"


def test_a_feature_without_details_has_empty_lists(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(session, index, [replace(feature_row(0), details={})])
        publish_index(session, index, 1, 1, 1, 1)
    record = read(database, 0)
    assert record.histogram is None
    assert record.neighbours.aligned == ()
    assert record.poles["-"].promoted == ()


def test_labels_hostile_to_the_database_are_stored_readably(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        row = replace(feature_row(0), label="\x00 ↔ \ud800", label_pos="\ud800", label_neg="\x00")
        write_features(session, index, [row])
        publish_index(session, index, 1, 1, 1, 1)
        assert labels_of(session, index, [0]) == {0: "␀ ↔ \ufffd"}


def test_labels_of_features_that_are_not_there_are_left_out(database, world):
    with database.read() as session:
        assert labels_of(session, world.index, [4, 4, 999]) == {4: "sad ↔ happy"}
        assert labels_of(session, world.index, []) == {}


def test_samples_and_turning_points_are_read_by_pole_and_interval(database, world):
    def example(kind: int, pole: int, rank: int, window: int) -> ExampleRow:
        value = -0.5 if pole else 0.5
        return ExampleRow(
            0, kind, pole, rank, window, 3, value, 0, encode_activations([(3, value)])
        )

    examples = [
        example(INTERVAL, POSITIVE, 0 * SAMPLES + 0, 1),
        example(INTERVAL, POSITIVE, 0 * SAMPLES + 1, 2),
        example(INTERVAL, POSITIVE, 5 * SAMPLES + 0, 3),
        example(INTERVAL, NEGATIVE, 2 * SAMPLES + 0, 4),
        example(TURN, NEGATIVE, 0, 5),
        example(TURN, NEGATIVE, 1, 6),
    ]
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(session, index, [feature_row(0)])
        write_examples(session, index, examples)
        publish_index(session, index, 1, 1, 1, 1)
    poles = read(database, 0, contexts=1).poles
    samples = {
        pole: {each: [c.seq for c in found] for each, found in poles[pole].samples.items()}
        for pole in poles
    }
    assert samples == {"+": {0: [1, 2], 5: [3]}, "-": {2: [4]}}
    assert [context.seq for context in poles["-"].turns] == [5]
    assert poles["+"].turns == ()
    assert poles["-"].contexts == ()


def test_what_the_indexer_wrote_besides_is_handed_on(database, world):
    assert read(database, world.two_sided).details["promoted"][0] == [" queen", 1.5]


def test_the_extreme_value_is_exact_though_its_neighbours_are_rounded(database, world):
    value, beside = -1 / 3, 1 / 7
    blob = encode_activations([(2, beside), (3, value)])
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(session, index, [feature_row(0)])
        row = ExampleRow(0, EXTREME, NEGATIVE, 0, 0, 3, value, value / 16, blob)
        write_examples(session, index, [row])
        publish_index(session, index, 1, 1, 1, 1)
    context = read(database, 0).poles["-"].contexts[0]
    assert context.activations[3] == context.value == float32(value)
    assert context.activations[2] == pytest.approx(beside, rel=2**-16)


TOKENS = (
    "\x00", "\x1b[31m", "\ud83d", "\ude00", "\ud800", "\u202eevil\u202c", "שלום", "👩\u200d", "👧",
    "</script><b>", "&amp;", "\r\n", "\u2028", "\ufeff", "\uffff", "",
)  # fmt: skip


def test_every_token_is_stored_and_returned_exactly(database, world):
    with database.write() as session:
        model = upsert_model(
            session, name="hostile", source="", family="", d_in=1, layers=1, parameters=1,
            vocabulary=TOKENS, bos_token_id=None, is_demo=False,
        )  # fmt: skip
        corpus = create_corpus(
            session, name="hostile", source="", model_id=model, fingerprint="e" * 64, windows=1,
            tokens=len(TOKENS), context=len(TOKENS), bos_policy="none",
        )  # fmt: skip
        add_sequences(session, corpus, [SequenceRow.of(0, 0, 0, range(len(TOKENS)))])
        sae = create_sae(
            session, name="hostile", model_id=model, layer=0, hook="resid_post",
            sparsifier="topk", d_in=1, d_sae=1, path="", sha256="", config={},
        )  # fmt: skip
        index = begin_index(session, sae, corpus)
        details = {"promoted": [[token, 1.0] for token in TOKENS], "suppressed": []}
        write_features(session, index, [replace(feature_row(0), details=details)])
        blob = encode_activations([(0, 1.0)])
        write_examples(session, index, [ExampleRow(0, EXTREME, POSITIVE, 0, 0, 0, 1.0, 0, blob)])
        publish_index(session, index, 1, 1, 1, 0)
    with database.read() as session:
        record = get_feature(session, get_sae(session, "hostile"), 0)
    assert record.poles["+"].contexts[0].tokens == TOKENS
    assert tuple(each.token for each in record.poles["+"].promoted) == TOKENS
