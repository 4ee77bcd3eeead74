"""The flip of a feature: the same axis with its direction negated, as one pure function.

Knows the JSON of `feature_view`; nothing else. Flipping twice gives back exactly the same JSON.
"""

from typing import Any

from frontend.filters import ARROW
from server.web.feature_view import View

OTHER = {"+": "-", "-": "+"}


def flip_feature(view: View) -> View:
    """Mirror a feature: values, logits and balance negate, poles and neighbours swap.

    What a pole promotes belongs to the direction it points in, so a pole keeps its own logit lists
    when it changes sides: seen from the + side, every logit has changed its sign.
    """
    histogram, logits, together = view["histogram"], view["logits"], view["together"]
    explanation = view["explanation"]
    return {
        **view,
        "pole": OTHER[view["pole"]],
        "label": ARROW.join(reversed(view["label"].split(ARROW))),
        "pole_balance": negate(view["pole_balance"]),
        "density": _swap(view["density"]),
        "firings": _swap(view["firings"]),
        "histogram": None if histogram is None else _flip_histogram(histogram),
        "logits": None if logits is None else _flip_histogram(logits),
        "neighbours": {
            "aligned": [_flip_neighbour(entry) for entry in view["neighbours"]["opposed"]],
            "opposed": [_flip_neighbour(entry) for entry in view["neighbours"]["aligned"]],
        },
        "together": None if together is None else _flip_together(together),
        "explanation": None if explanation is None else _flip_explanation(explanation),
        "poles": {pole: _flip_pole(view["poles"][OTHER[pole]]) for pole in view["poles"]},
    }


def negate(value: float | None) -> float | None:
    """−value, where zero stays the zero it is, so that JSON never shows −0.0."""
    return -value if value else value


def _swap(poles: dict[str, Any]) -> dict[str, Any]:
    return {pole: poles[OTHER[pole]] for pole in poles}


def _flip_histogram(histogram: View) -> View:
    return {
        **histogram,
        "edges": [negate(edge) for edge in reversed(histogram["edges"])],
        "counts": list(reversed(histogram["counts"])),
    }


def _flip_neighbour(entry: View) -> View:
    return {**entry, "cosine": negate(entry["cosine"])}


def _flip_together(together: View) -> View:
    """The other features keep their stored signs, so agreement becomes disagreement."""
    features = [
        {**entry, "same_sign": entry["opposite_sign"], "opposite_sign": entry["same_sign"]}
        for entry in together["features"]
    ]
    return {**together, "features": features}


def _flip_explanation(explanation: View) -> View:
    """The texts change sides; a score of the sign judges the same texts on the same contexts."""
    return {
        **explanation,
        "axis": ARROW.join(reversed(explanation["axis"].split(ARROW))),
        "poles": _swap(explanation["poles"]),
        "detection": _swap(explanation["detection"]),
    }


def _flip_pole(pole: View) -> View:
    return {
        **pole,
        "max": negate(pole["max"]),
        "quantile_999": negate(pole["quantile_999"]),
        "quantiles": [_flip_value(entry) for entry in pole["quantiles"]],
        "token_statistics": [
            {**entry, "mean": negate(entry["mean"])} for entry in pole["token_statistics"]
        ],
        "intervals": [_flip_interval(interval) for interval in pole["intervals"]],
        "turning_points": [_flip_context(context) for context in pole["turning_points"]],
        "contexts": [_flip_context(context) for context in pole["contexts"]],
        "contexts_by_mean": [_flip_context(context) for context in pole["contexts_by_mean"]],
    }


def _flip_value(entry: View) -> View:
    return {**entry, "value": negate(entry["value"])}


def _flip_interval(interval: View) -> View:
    return {
        **interval,
        "near": negate(interval["near"]),
        "far": negate(interval["far"]),
        "contexts": [_flip_context(context) for context in interval["contexts"]],
    }


def _flip_context(context: View) -> View:
    return {
        **context,
        "activations": [negate(value) for value in context["activations"]],
        "value": negate(context["value"]),
        "mean": negate(context["mean"]),
    }
