"""A small, coherent world in a database: one model, one text, three SAEs, features of every kind.

Knows the store's writers, no torch and no page. What it writes is computed from a few numbers, so
that densities, maxima and contexts of one feature agree with each other.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from server.store.concept_scores import ConceptScoreRow, write_concept_scores
from server.store.corpora import SequenceRow, add_sequences, create_corpus
from server.store.encoding import encode_activations
from server.store.example_lists import pack_lists
from server.store.index_rows import EXTREME, MEAN, NEGATIVE, POSITIVE, ExampleRow, FeatureRow
from server.store.indexes import begin_index, publish_index, write_example_lists, write_features
from server.store.language_models import upsert_model
from server.store.maps import create_map
from server.store.runs import claim_run, create_run, report_run
from server.store.saes import create_sae, update_sae
from server.store.session import Database
from tests.builders_counted import between_rows, counted

WORDS = (
    "the", "queen", "king", "she", "he", "said", "was", "very", "happy", "sad", "dog", "cat",
    "ran", "home", "today", "yesterday", "and", "then", "little", "girl", "boy", "forest",
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "\x00",
    "\ud800",
    "\u202eevil",
    "&amp;",
    "\n",
    "</td>",
    "' --",
)
VOCABULARY = ("<|endoftext|>", *HOSTILE, *(f" {word}" for word in WORDS))
WINDOWS, CONTEXT = 24, 16
TWO_SIDED, POSITIVE_ONLY, NEGATIVE_ONLY, NEVER = 0, 1, 2, 3


@dataclass(frozen=True)
class World:
    """Ids of everything `build_world` wrote, and the numbers of the features worth a look."""

    model: int
    corpus: int
    abstopk: int
    topk: int
    dim: int
    index: int
    building_index: int
    dim_index: int
    map: int
    queued_run: int
    running_run: int
    two_sided: int = TWO_SIDED
    positive_only: int = POSITIVE_ONLY
    negative_only: int = NEGATIVE_ONLY
    never: int = NEVER
    width: int = 32
    model_name: str = "tiny"
    abstopk_name: str = "tiny-abstopk"
    topk_name: str = "tiny-topk"
    dim_name: str = "tiny-axes"
    vocabulary: tuple[str, ...] = VOCABULARY
    windows: tuple[tuple[int, ...], ...] = field(
        default_factory=lambda: tuple(map(tokens_of, range(WINDOWS)))
    )


def write_examples(session: Session, index_id: int, rows: Iterable[ExampleRow]) -> None:
    """Examples one by one; all of one kind and pole of a feature in one call."""
    write_example_lists(session, index_id, pack_lists(rows))


def tokens_of(window: int) -> tuple[int, ...]:
    """The token ids of one window: <|endoftext|> first, then words, a hostile one now and then."""
    return (
        0,
        *((window * 7 + place * 5) % (len(VOCABULARY) - 1) + 1 for place in range(1, CONTEXT)),
    )


def activation_of(feature: int, window: int, place: int) -> float:
    """The signed activation of a feature on a token: 0 on most, a power-of-two fraction elsewhere."""
    if feature % 8 == NEVER or place == 0 or (window * 3 + place * 7 + feature) % 5:
        return 0.0
    size = ((window * 11 + place * 13 + feature * 17) % 31 + 1) / 8
    if feature % 8 == POSITIVE_ONLY:
        return size
    if feature % 8 == NEGATIVE_ONLY:
        return -size
    return size if (window + place + feature) % 2 else -size


def feature_row(feature: int, label: str = "", poles: tuple[str, str] = ("", "")) -> FeatureRow:
    """The row of a feature whose activations are `activation_of`; poles are (label −, label +)."""
    values = [activation_of(feature, w, p) for w in range(WINDOWS) for p in range(CONTEXT)]
    positive, negative = [v for v in values if v > 0], [v for v in values if v < 0]
    total = sum(map(abs, values))
    name_neg, name_pos = poles
    return FeatureRow(
        feature=feature,
        label=label
        or (f"{name_neg} ↔ {name_pos}" if name_neg and name_pos else name_neg or name_pos),
        label_pos=name_pos,
        label_neg=name_neg,
        firings_pos=len(positive),
        firings_neg=len(negative),
        density_pos=len(positive) / len(values),
        density_neg=len(negative) / len(values),
        sum_pos=sum(positive),
        sum_neg=sum(negative),
        max_pos=max(positive, default=0.0),
        max_neg=min(negative, default=0.0),
        quantile_pos=max(positive, default=0.0),
        quantile_neg=min(negative, default=0.0),
        pole_balance=sum(values) / total if total else None,
        opposition=None if feature % 3 == 0 else math.sin(feature),
        consistency=None if not total else 0.5 + feature % 5 / 10,
        details=details_of(feature, values),
        tokens_pos=(" queen", " she") if positive else (),
        tokens_neg=(" king", " he") if negative else (),
    )


def details_of(feature: int, values: list[float]) -> dict[str, object]:
    """Histogram, logits of the + pole and neighbours, in the shape the indexer writes."""
    edges = [step / 2 for step in range(-8, 9)]
    fired = [value for value in values if value]
    counts = [0] * (len(edges) - 1)
    for value in fired:
        counts[min(int((value + 4) * 2), len(counts) - 1)] += 1
    return {
        "histogram": {
            "edges": edges,
            "counts": counts,
            "zeros": len(values) - len(fired),
            "tokens": len(values),
        },
        "promoted": [[" queen", 1.5], [" she", 0.75], ["<script>alert(1)</script>", 0.5]],
        "suppressed": [[" king", -1.25], [" he", -0.5], ["\ud800", -0.25]],
        "logits": {"reach": 1.5, "counts": [1, 0, 3, 9, 5, 1]},
        "neighbours": {
            "aligned": [[(feature + 1) % 8, 0.5], [(feature + 2) % 8, 0.25]],
            "opposed": [[(feature + 4) % 8, -0.75], [(feature + 5) % 8, -0.125]],
        },
        **counted(feature, fired),
    }


def example_rows(feature: int, most: int = 5) -> list[ExampleRow]:
    """The strongest windows of each pole, by extreme token and by mean, as the indexer ranks them."""
    windows = []
    for window in range(WINDOWS):
        values = [activation_of(feature, window, place) for place in range(CONTEXT)]
        windows.append((window, values, sum(values) / CONTEXT))
    rows = []
    for pole, sign in ((POSITIVE, 1), (NEGATIVE, -1)):
        fired = [entry for entry in windows if max(sign * value for value in entry[1]) > 0]
        by_extreme = sorted(fired, key=lambda entry: -max(sign * value for value in entry[1]))
        by_mean = sorted(fired, key=lambda entry: -sign * entry[2])
        for kind, ranked in ((EXTREME, by_extreme), (MEAN, by_mean)):
            for rank, (window, values, mean) in enumerate(ranked[:most]):
                place = max(range(CONTEXT), key=lambda at, values=values: sign * values[at])
                pairs = [(at, value) for at, value in enumerate(values) if value]
                blob = encode_activations(pairs)
                rows.append(
                    ExampleRow(feature, kind, pole, rank, window, place, values[place], mean, blob)
                )
        rows += between_rows(feature, pole, fired)
    return rows


def build_world(database: Database) -> World:
    """Fill a migrated, empty database.

    SAE `tiny-abstopk` is ready (32 features, of which 0 fires on both sides, 1 only positively, 2
    only negatively, 3 never, and so on in turns of eight; map; concept scores), the axes
    `tiny-axes` are ready, `tiny-topk` has a half-written index only. One run waits, one works.
    """
    with database.write() as session:
        model = upsert_model(
            session,
            name="tiny",
            source="built for tests",
            family="gpt_neox",
            d_in=8,
            layers=2,
            parameters=10_000,
            vocabulary=VOCABULARY,
            bos_token_id=0,
            is_demo=True,
        )
        corpus = create_corpus(
            session,
            name="tiny stories",
            source="tests",
            model_id=model,
            fingerprint="f" * 64,
            windows=WINDOWS,
            tokens=WINDOWS * CONTEXT,
            context=CONTEXT,
            bos_policy="first",
            packing="documents apart",
        )
        rows = [SequenceRow.of(w, w // 4, w % 4 * CONTEXT, tokens_of(w)) for w in range(WINDOWS)]
        add_sequences(session, corpus, rows)
        saes = {kind: _create_sae(session, model, kind) for kind in ("abstopk", "topk", "dim")}
        index = _write_index(session, saes["abstopk"], corpus, range(32), _labels())
        building = _write_index(session, saes["topk"], corpus, range(8), {}, publish=False)
        axes = {0: ("gender", ("male", "female")), 4: ("sentiment", ("negative", "positive"))}
        dim_index = _write_index(session, saes["dim"], corpus, (0, 4), axes)
        layout = create_map(
            session,
            saes["abstopk"],
            metric="axis",
            method="t-SNE",
            perplexity=10.0,
            seed=0,
            trustworthiness=0.93,
            features=range(32),
            coordinates=[(math.cos(f) * f, math.sin(f) * f) for f in range(32)],
        )
        write_concept_scores(session, index, _concept_scores())
        running = create_run(session, "map", {"sae": saes["abstopk"]})
        claimed = claim_run(session, running)
        assert claimed is not None
        report_run(session, claimed, 30, 120, "laying out 32 features")
        queued = create_run(session, "index", {"saes": [saes["topk"]]})
    return World(
        model=model,
        corpus=corpus,
        **saes,
        index=index,
        building_index=building,
        dim_index=dim_index,
        map=layout,
        queued_run=queued,
        running_run=running,
    )


def _labels() -> dict[int, tuple[str, tuple[str, str]]]:
    return {
        TWO_SIDED: ("", ("king", "queen")),
        POSITIVE_ONLY: ("", ("", "100% <b>forest</b>")),
        NEGATIVE_ONLY: ("", ("snake_case", "")),
        4: ("", ("sad", "happy")),
    }


def _create_sae(session, model: int, kind: str) -> int:
    created = create_sae(
        session,
        name={"dim": "tiny-axes"}.get(kind, f"tiny-{kind}"),
        model_id=model,
        layer=1,
        hook="resid_post",
        sparsifier=kind,
        d_in=8,
        d_sae=5 if kind == "dim" else 32,
        k=None if kind == "dim" else 4,
        path=f"saes/{kind}",
        sha256="0" * 64,
        config={"seed": 0, "sparsifier": kind},
        is_demo=True,
    )
    if kind != "dim":
        metrics = {"nmse": 0.18, "loss_recovered": 0.94, "l0": 4.0, "cosine": 0.91}
        update_sae(session, created, **metrics, evaluated_tokens=4096)
    return created


def _write_index(session, sae: int, corpus: int, features, labels, *, publish: bool = True) -> int:
    index = begin_index(session, sae, corpus)
    rows = [feature_row(feature, *labels.get(feature, ())) for feature in features]
    write_features(session, index, rows)
    write_examples(session, index, [row for f in features for row in example_rows(f)])
    if publish:
        live = sum(row.firings_pos + row.firings_neg > 0 for row in rows)
        both = sum(row.firings_pos >= 20 and row.firings_neg >= 20 for row in rows)
        publish_index(session, index, WINDOWS * CONTEXT, WINDOWS, live, both)
    return index


def _concept_scores() -> list[ConceptScoreRow]:
    return [
        ConceptScoreRow("gender", 0, 1, "female", "male", 0.97, 0.8, 0.61, 0.001, 120),
        ConceptScoreRow("sentiment", 4, 1, "positive", "negative", 0.84, 0.55, 0.6, 0.002, 200),
        ConceptScoreRow("tense", 5, -1, "past", "present", 0.58, None, 0.6, 0.09, 80),
    ]
