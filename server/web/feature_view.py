"""A feature as JSON: the shape scripts rely on, which the page is drawn from too.

Knows the store's records; no HTML. Everything of the − pole is negative.
"""

from typing import Any

from server.store.feature_records import ContextRecord, FeatureRecord, Neighbour, PoleRecord
from server.store.feature_table import FeatureSummary
from server.store.saes import SaeRecord

View = dict[str, Any]


def feature_view(record: FeatureRecord, sae: SaeRecord) -> View:
    """The JSON of one feature, with its stored sign: `pole` is "+"."""
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
        "neighbours": {
            "aligned": [_neighbour(entry) for entry in record.neighbours.aligned],
            "opposed": [_neighbour(entry) for entry in record.neighbours.opposed],
        },
        "poles": {pole: _pole(record.poles[pole]) for pole in record.poles},
    }


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


def _neighbour(entry: Neighbour) -> View:
    return {"feature": entry.feature, "cosine": entry.cosine, "label": entry.label}
