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
    histogram = view["histogram"]
    return {
        **view,
        "pole": OTHER[view["pole"]],
        "label": ARROW.join(reversed(view["label"].split(ARROW))),
        "pole_balance": negate(view["pole_balance"]),
        "density": _swap(view["density"]),
        "firings": _swap(view["firings"]),
        "histogram": None if histogram is None else _flip_histogram(histogram),
        "neighbours": {
            "aligned": [_flip_neighbour(entry) for entry in view["neighbours"]["opposed"]],
            "opposed": [_flip_neighbour(entry) for entry in view["neighbours"]["aligned"]],
        },
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


def _flip_pole(pole: View) -> View:
    return {
        **pole,
        "max": negate(pole["max"]),
        "quantile_999": negate(pole["quantile_999"]),
        "contexts": [_flip_context(context) for context in pole["contexts"]],
        "contexts_by_mean": [_flip_context(context) for context in pole["contexts_by_mean"]],
    }


def _flip_context(context: View) -> View:
    return {
        **context,
        "activations": [negate(value) for value in context["activations"]],
        "value": negate(context["value"]),
        "mean": negate(context["mean"]),
    }
