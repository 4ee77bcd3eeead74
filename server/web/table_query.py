"""The state of the feature table as it stands in the address: sort, filters, search, page.

Knows the parameters and how one state becomes the address of another; no database.
"""

from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from server.store.feature_rows import FeatureFilters
from server.store.feature_table import LONGEST_SEARCH, MOST_ROWS, SORTS

FIRINGS_PER_POLE = 20
"""A feature counts as two-sided from so many firings of each sign."""

TABLE = "#features"
"""Where on the page of an SAE the table is: what sorts or pages it leads there, not to the top."""

Sort = Literal[
    "feature", "density_pos", "density_neg", "density", "max_pos", "max_neg", "max",
    "pole_balance", "opposition", "consistency",
]  # fmt: skip


def _empty_is_none(value: object) -> object:
    """A form sends its empty fields too."""
    return None if value == "" else value


EmptyIsNone = BeforeValidator(_empty_is_none)
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, EmptyIsNone]
Balance = Annotated[Annotated[float, Field(ge=-1, le=1)] | None, EmptyIsNone]
Magnitude = Annotated[Annotated[float, Field(ge=0)] | None, EmptyIsNone]
Score = Annotated[float | None, EmptyIsNone]


class TableQuery(BaseModel):
    """What to list, in which order, from where; every page of a table is one of these."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True
    )

    search: str = Field(default="", max_length=LONGEST_SEARCH)
    """Words, or beginnings of words, that must occur in the labels or tokens of either pole."""
    sort: Sort = "feature"
    order: Literal["", "asc", "desc"] = ""
    """Empty: ascending for the number, descending for everything else."""
    two_sided: bool = False
    min_balance: Balance = None
    max_balance: Balance = None
    min_density: Share = None
    max_density: Share = None
    min_density_pos: Share = None
    max_density_pos: Share = None
    min_density_neg: Share = None
    max_density_neg: Share = None
    min_max_pos: Magnitude = None
    min_max_neg: Magnitude = None
    """At least so far below zero."""
    min_opposition: Score = None
    max_opposition: Score = None
    min_consistency: Score = None
    max_consistency: Score = None
    limit: int = Field(default=50, ge=1, le=MOST_ROWS)
    after: str | None = Field(default=None, max_length=100)
    """The `next` of the page before."""
    before: str | None = Field(default=None, max_length=100)
    """The `previous` of the page after, or empty for the last page."""
    start: int = Field(default=1, ge=1)
    """The number of the first row, for the line that counts; it selects nothing."""

    @property
    def is_descending(self) -> bool:
        """The direction, with the default filled in."""
        return self.order == "desc" if self.order else self.sort != "feature"

    @property
    def own_limit(self) -> int | None:
        """How many rows a page has, where the address says other than the usual."""
        return self.limit if self.limit != type(self).model_fields["limit"].default else None

    @property
    def filters(self) -> FeatureFilters:
        """The conditions in the store's words."""
        names = FeatureFilters.__dataclass_fields__.keys() - {"two_sided"}
        return FeatureFilters(
            two_sided=FIRINGS_PER_POLE if self.two_sided else None,
            **{name: getattr(self, name) for name in names},
        )

    def address(self, path: str, **changes: object) -> str:
        """The address of this state with some changes; what equals its default is left out."""
        state = {**self.model_dump(), **changes}
        fields = type(self).model_fields
        said = {name: value for name, value in state.items() if value != fields[name].default}
        said = {name: "1" if value is True else value for name, value in said.items()}
        return f"{path}?{urlencode(said)}" if said else path


class Column(BaseModel):
    """A column's head: what it says, where a click leads, which way it is sorted."""

    model_config = ConfigDict(frozen=True)

    name: str
    numeric: bool = True
    url: str | None = None
    help: str = ""
    aria_sort: str | None = None


_COLUMNS = (
    ("feature", "#", "The number of the feature"),
    ("", "Axis, − ↔ +", ""),
    ("density_neg", "Density −", "Share of tokens on which it is below zero"),
    ("density_pos", "Density +", "Share of tokens on which it is above zero"),
    ("max_neg", "Max −", "The most negative activation"),
    ("max", "−  0  +", "Sort by the largest magnitude of either sign"),
    ("max_pos", "Max +", "The most positive activation"),
    ("pole_balance", "Balance", "From −1, only ever below zero, to +1, only ever above"),
    ("opposition", "Opposition", "Whether the poles are opposites, not strangers"),
    ("consistency", "Consistency", "Whether the sign holds over whole texts: κ of their halves"),
)


def columns_of(query: TableQuery, path: str) -> list[Column]:
    """The heads of the feature table; a click on the sorted one turns the order round."""
    return [_column(query, path, *entry) for entry in _COLUMNS]


def _column(query: TableQuery, path: str, sort: str, name: str, text: str) -> Column:
    if sort not in SORTS:
        return Column(name=name, numeric=False)
    is_sorted = query.sort == sort
    order = ("asc" if query.is_descending else "desc") if is_sorted else ""
    return Column(
        name=name,
        numeric=sort != "max",
        url=query.address(path, sort=sort, order=order, after=None, before=None, start=1) + TABLE,
        help=text,
        aria_sort=("descending" if query.is_descending else "ascending") if is_sorted else None,
    )
