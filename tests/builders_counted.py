"""What the small world's index holds beyond the strongest contexts, in the shapes the indexer writes.

Knows the store's row types; nothing of the world.
"""

from server.store.encoding import encode_activations
from server.store.index_rows import INTERVAL, POSITIVE, SAMPLES, TURN, ExampleRow


def counted(feature: int, fired: list[float]) -> dict[str, object]:
    """Quantiles, intervals, turning points, tokens and partners, as the indexer writes them."""
    has = {pole: any(sign * value > 0 for value in fired) for pole, sign in (("+", 1), ("-", -1))}
    intervals = [
        [
            low,
            2 * low,
            sum(low <= value < 2 * low for value in fired),
            sum(low <= -value < 2 * low for value in fired),
        ]
        for low in (2.0, 1.0)
    ]
    tokens = {"+": [[" queen", 9, 1.5, 4.0]], "-": [[" king", 7, -1.25, 3.0]]}
    labels = {"+": [["queen", 40.25]], "-": [["king", 30.5]]}
    return {
        "labels": {pole: labels[pole] if has[pole] else [] for pole in has},
        "quantiles": {"shares": [0.5, 0.999], "+": [1.0, 3.5], "-": [-1.0, -3.25]},
        "intervals": intervals if fired else [],
        "turns": {pole: 3 if all(has.values()) else 0 for pole in has},
        "tokens": {"sampled": 384, **{pole: tokens[pole] if has[pole] else [] for pole in has}},
        "together": {
            "sampled": 384,
            "features": [[(feature + 4) % 8, 0.25, 2.5, 0.75, 8]] if fired else [],
        },
    }


def between_rows(feature: int, pole: int, fired: list) -> list[ExampleRow]:
    """One sample of the interval [1, 2) and one turning point, where there are such."""
    sign = 1 if pole == POSITIVE else -1
    rows = []
    for kind, rank, low in ((INTERVAL, SAMPLES, 1), (TURN, 0, 0)):
        for window, values, mean in fired:
            places = [at for at, value in enumerate(values) if sign * value > 0]
            if kind == INTERVAL:
                places = [at for at in places if low <= sign * values[at] < 2 * low]
            else:
                places = [at for at in places if sign * values[at - 1] < 0]
            if places:
                blob = encode_activations([(at, value) for at, value in enumerate(values) if value])
                where = (window, places[0], values[places[0]], mean, blob)
                rows.append(ExampleRow(feature, kind, pole, rank, *where))
                break
    return rows
