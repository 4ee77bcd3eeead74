"""Axes as links, by what they lead from and to: where a reader can start.

Knows the store; computes nothing.
"""

from collections.abc import Callable, Iterable

from sqlalchemy.orm import Session

from server.store.feature_table import list_features
from server.store.saes import SaeSummary, get_sae
from server.web.contexts import AxisLink

MOST_AXES = 12
Address = Callable[[int, int], str]
"""The address for an SAE's id and a feature."""


def axis_links(session: Session, axes: Iterable[SaeSummary], address: Address) -> list[AxisLink]:
    """The Difference-in-Mean axes of some dictionaries."""
    found = []
    for entry in axes:
        sae = get_sae(session, entry.id)
        rows = list_features(session, sae, limit=MOST_AXES).rows if sae else []
        found += [
            AxisLink(
                address(entry.id, row.feature), row.label_neg, row.label_pos, "Difference-in-Mean"
            )
            for row in rows
        ]
    return found
