"""A feature as JSON: the shape scripts rely on, which the page is drawn from too.

Knows the store's records; no HTML. Everything of the − pole is negative.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from server.store.explanations import ExplanationRecord
from server.store.feature_records import ContextRecord, FeatureRecord, Neighbour, PoleRecord
from server.store.feature_table import FeatureSummary
from server.store.saes import SaeRecord

View = dict[str, Any]


def feature_view(
    record: FeatureRecord,
    sae: SaeRecord,
    explanation: ExplanationRecord | None = None,
    labels: Mapping[int, str] | None = None,
) -> View:
    """The JSON of one feature, with its stored sign: `pole` is "+".

    `labels` are those of the features in `partners_of`.
    """
    histogram = record.histogram
    return {
        "sae": sae.id,
        "sae_name": sae.name,
        "feature": record.feature,
        "label": record.label,
        "pole": "+",
        "tokens": record.tokens,
        "pole_balance": record.pole_balance,
        "opposition": record.opposition,
        "opposition_null": record.null_summary,
        "consistency": record.consistency,
        "density": {pole: record.poles[pole].density for pole in record.poles},
        "firings": {pole: record.poles[pole].firings for pole in record.poles},
        "histogram": None
        if histogram is None
        else {
            "edges": list(histogram.edges),
            "counts": list(histogram.counts),
            "zeros": histogram.zeros,
            "tokens": histogram.tokens,
        },
        "logits": _logits(record.details),
        "neighbours": {
            "aligned": [_neighbour(entry) for entry in record.neighbours.aligned],
            "opposed": [_neighbour(entry) for entry in record.neighbours.opposed],
        },
        "together": _together(record.details, labels or {}),
        "tokens_sampled": record.details.get("tokens", {}).get("sampled"),
        "explanation": None if explanation is None else _explanation(explanation),
        "poles": {
            pole: _pole(record.poles[pole]) | _counted(record.poles[pole], record.details)
            for pole in record.poles
        },
    }


def partners_of(record: FeatureRecord) -> list[int]:
    """The features that fire together with this one, the most correlated first."""
    return [row[0] for row in record.details.get("together", {}).get("features", ())]


def row_view(row: FeatureSummary) -> View:
    """A row of the feature table as JSON."""
    return {
        "feature": row.feature,
        "label": row.label,
        "labels": {"+": row.label_pos, "-": row.label_neg},
        "firings": dict(row.firings),
        "density": dict(row.density),
        "max": dict(row.max),
        "pole_balance": row.pole_balance,
        "opposition": row.opposition,
        "consistency": row.consistency,
        "matched": list(row.matched),
    }


def _pole(pole: PoleRecord) -> View:
    return {
        "label": pole.label,
        "max": pole.max,
        "quantile_999": pole.quantile_999,
        "promoted": [{"token": token, "logit": logit} for token, logit in pole.promoted],
        "suppressed": [{"token": token, "logit": logit} for token, logit in pole.suppressed],
        "contexts": [_context(context) for context in pole.contexts],
        "contexts_by_mean": [_context(context) for context in pole.contexts_by_mean],
    }


def _counted(pole: PoleRecord, details: Mapping[str, Any]) -> View:
    """What was counted of a pole beyond its strongest contexts; values are signed."""
    quantiles = details.get("quantiles", {})
    return {
        "quantiles": [
            {"share": share, "value": value}
            for share, value in zip(
                quantiles.get("shares", ()), quantiles.get(pole.pole, ()), strict=True
            )
        ],
        "label_words": [
            {"word": word, "lift": lift}
            for word, lift in details.get("labels", {}).get(pole.pole, ())
        ],
        "token_statistics": [
            {"token": token, "firings": firings, "mean": mean, "lift": lift}
            for token, firings, mean, lift in details.get("tokens", {}).get(pole.pole, ())
        ],
        "intervals": _intervals(pole, details.get("intervals", ())),
        "turns": details.get("turns", {}).get(pole.pole, 0),
        "turning_points": [_context(context) for context in pole.turns],
    }


def _intervals(pole: PoleRecord, stored: Sequence[Sequence[float]]) -> list[View]:
    """The intervals from the largest magnitude down: those of − are those of +, mirrored."""
    sign, column = (1, 2) if pole.pole == "+" else (-1, 3)
    return [
        {
            "near": sign * interval[0],
            "far": sign * interval[1],
            "firings": interval[column],
            "contexts": [_context(context) for context in pole.samples.get(number, ())],
        }
        for number, interval in enumerate(stored)
    ]


def _together(details: Mapping[str, Any], labels: Mapping[int, str]) -> View | None:
    """Co-firing features; how many shared firings had the same sign and how many the opposite.

    Two counts and not one share: a flip swaps them, which is exact.
    """
    stored = details.get("together")
    if stored is None:
        return None
    features = []
    for feature, correlation, lift, same_sign, shared in stored["features"]:
        same = round(same_sign * shared)
        features.append(
            {
                "feature": feature,
                "label": labels.get(feature, ""),
                "correlation": correlation,
                "lift": lift,
                "shared": shared,
                "same_sign": same,
                "opposite_sign": shared - same,
            }
        )
    return {"sampled": stored["sampled"], "features": features}


def _explanation(record: ExplanationRecord) -> View:
    return {
        "model": record.model,
        "axis": record.axis,
        "poles": {"+": record.text_pos, "-": record.text_neg},
        "detection": {"+": record.detection_pos, "-": record.detection_neg},
        "sign": record.sign,
        "sign_swapped": record.sign_swapped,
        "contexts": record.contexts,
    }


def _context(context: ContextRecord) -> View:
    return {
        "tokens": list(context.tokens),
        "token_ids": list(context.token_ids),
        "activations": list(context.activations),
        "position": context.position,
        "value": context.value,
        "mean": context.mean,
        "document": context.document,
        "start": context.start,
    }


def _logits(details: Mapping[str, Any]) -> View | None:
    """Tokens of the vocabulary by what the + pole adds to their logit; absent in older indexes."""
    stored = details.get("logits")
    if stored is None:
        return None
    bins, reach = len(stored["counts"]), stored["reach"]
    edges = [reach * (2 * place - bins) / bins for place in range(bins + 1)]
    return {"edges": edges, "counts": stored["counts"]}


def _neighbour(entry: Neighbour) -> View:
    return {"feature": entry.feature, "cosine": entry.cosine, "label": entry.label}
