"""A list of starred features, or of single poles, with notes: all of it in the address.

Knows how an item is written (`SAE.FEATURE`, `SAE.FEATURE.pos` or `.neg`, then `~note`); no HTML.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from frontend.filters import axis_name, pole_name
from server.store.encoding import LARGEST_ID
from server.store.feature_list import ListedFeature

MOST = 200
LONGEST_NOTE = 500
LONGEST_TITLE = 200
POLES = {"pos": "+", "neg": "-"}


@dataclass(frozen=True)
class Item:
    """One entry of a list; `pole` None is the whole feature."""

    sae: int
    feature: int
    pole: str | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """The item without its note, as an address writes it."""
        pole = next((f".{name}" for name, sign in POLES.items() if sign == self.pole), "")
        return f"{self.sae}.{self.feature}{pole}"

    def __str__(self) -> str:
        return f"{self.key}~{self.note}" if self.note else self.key


@dataclass(frozen=True)
class ListRow:
    """An item as it is drawn; `is_known` is False where no published index holds it."""

    item: Item
    key: str
    url: str
    sae_name: str
    sae_url: str
    name: str
    label_minus: str
    label_plus: str
    density_minus: float | None
    density_plus: float | None
    max_minus: float | None
    max_plus: float | None
    pole_balance: float | None
    is_known: bool


def read_items(texts: Sequence[str]) -> list[Item]:
    """The items of an address, each once. Raises ValueError on one that cannot be read."""
    items = {item.key: item for item in map(_read_item, texts)}
    return list(items.values())


def _read_item(text: str) -> Item:
    place, _, note = text.partition("~")
    parts = place.split(".")
    is_numbered = 2 <= len(parts) <= 3 and all(
        part.isascii() and part.isdigit() for part in parts[:2]
    )
    if not is_numbered or (len(parts) == 3 and parts[2] not in POLES):
        raise ValueError(
            f"item {text[:60]!r}: write SAE.FEATURE, such as 1.24, and .pos or .neg behind it for one pole"
        )
    sae, feature = int(parts[0]), int(parts[1])
    if max(sae, feature) > LARGEST_ID:
        raise ValueError(f"item {text[:60]!r}: there is no number so large")
    return Item(sae, feature, POLES[parts[2]] if len(parts) == 3 else None, note[:LONGEST_NOTE])


def list_address(path: str, items: Iterable[Item], title: str) -> str:
    """The address of this list."""
    pairs = [("title", title)] if title else []
    return f"{path}?{urlencode([*pairs, *(('item', str(item)) for item in items)])}"


def list_rows(
    items: Iterable[Item], found: Mapping[tuple[int, int], ListedFeature]
) -> list[ListRow]:
    """The rows in the order of the list."""
    return [_row(item, found.get((item.sae, item.feature))) for item in items]


def _row(item: Item, found: ListedFeature | None) -> ListRow:
    suffix = "?pole=-" if item.pole == "-" else ""
    url, sae_url = f"/sae/{item.sae}/feature/{item.feature}{suffix}", f"/sae/{item.sae}"
    if found is None:
        return ListRow(
            item, item.key, url, f"SAE {item.sae}", sae_url, "", "", "", None, None, None, None, None,
            is_known=False,
        )  # fmt: skip
    return ListRow(
        item,
        item.key,
        url,
        found.sae_name,
        sae_url,
        axis_name(found.label, found.labels["-"], found.labels["+"]),
        pole_name(found.labels["-"], found.max["-"]),
        pole_name(found.labels["+"], found.max["+"]),
        found.density["-"],
        found.density["+"],
        found.max["-"],
        found.max["+"],
        found.pole_balance,
        is_known=True,
    )


def row_json(row: ListRow) -> dict[str, object]:
    """The row as JSON: what the page shows of it."""
    return {
        "sae": row.item.sae,
        "sae_name": row.sae_name,
        "feature": row.item.feature,
        "pole": row.item.pole,
        "note": row.item.note,
        "known": row.is_known,
        "labels": {"-": row.label_minus, "+": row.label_plus},
        "density": {"-": row.density_minus, "+": row.density_plus},
        "max": {"-": row.max_minus, "+": row.max_plus},
        "pole_balance": row.pole_balance,
        "url": row.url,
    }
