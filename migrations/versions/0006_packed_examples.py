"""One row per list of examples instead of one per example.

Revision 0006, after 0005. The format is written out here: it is that of this revision for good.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from server.store.encoding import dump_json, unpack_json

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

small = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
integer, real, blob = sa.Integer(), sa.REAL(), sa.LargeBinary()
KEY = ("index_id", "feature", "kind", "pole")
INTERVAL = 2
LISTS_AT_ONCE = 2_000
NEXT_DETAILS = sa.text(
    "SELECT index_id, feature, details FROM feature WHERE (index_id, feature) > (:index, :feature)"
    f" ORDER BY index_id, feature LIMIT {LISTS_AT_ONCE}"
)


def upgrade() -> None:
    _rename()
    _create(("packed", blob), key=KEY)
    found = _read("SELECT * FROM example_before ORDER BY index_id, feature, kind, pole, rank")
    rows = (row._mapping for row in found)
    lists = (
        dict(zip(KEY, key, strict=True)) | {"packed": _packed(key[2], list(group))}
        for key, group in groupby(rows, key=lambda row: tuple(row[name] for name in KEY))
    )
    _insert((*KEY, "packed"), lists)
    op.drop_table("example_before")


def downgrade() -> None:
    _rename()
    columns = {
        "rank": small, "position": small, "seq": integer, "value": real, "mean": real,
        "activations": blob,
    }  # fmt: skip
    _create(*columns.items(), key=(*KEY, "rank"), sqlite_with_rowid=False)
    found = _read("SELECT * FROM example_before")
    rows = (row for each in found for row in _unpacked(each._mapping))
    _insert((*KEY, *columns), rows)
    op.drop_table("example_before")
    _rewrite_details()


def _rewrite_details() -> None:
    """As 0005 reads them: without a preset dictionary. Both are read from 0006 on."""
    statement = sa.text(
        "UPDATE feature SET details = :details WHERE index_id = :index_id AND feature = :feature"
    )
    last = (-1, -1)
    while rows := op.get_bind().execute(NEXT_DETAILS, {"index": last[0], "feature": last[1]}).all():
        changed = [
            {**row._mapping, "details": zlib.compress(dump_json(unpack_json(row.details)).encode())}
            for row in rows
        ]
        op.get_bind().execute(statement, changed)
        last = rows[-1].index_id, rows[-1].feature


def _rename() -> None:
    op.rename_table("example", "example_before")
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_example RENAME TO pk_example_before")


def _read(query: str) -> Any:
    """Rows as they come: there may be tens of millions."""
    statement = sa.text(query).execution_options(yield_per=LISTS_AT_ONCE)
    return op.get_bind().execute(statement)


def _create(*columns: tuple[str, Any], key: tuple[str, ...], **options: Any) -> None:
    is_packed = key == KEY
    sign = (
        "pole IN (0, 1)" if is_packed else "(pole = 0 AND value >= 0) OR (pole = 1 AND value <= 0)"
    )
    op.create_table(
        "example",
        *(sa.Column(name, integer, nullable=False) for name in KEY[:2]),
        *(sa.Column(name, small, nullable=False) for name in KEY[2:]),
        *(sa.Column(name, kind, nullable=False) for name, kind in columns),
        sa.PrimaryKeyConstraint(*key, name="pk_example"),
        sa.CheckConstraint("kind BETWEEN 0 AND 3", name=op.f("ck_example_kind")),
        sa.CheckConstraint(sign, name=op.f("ck_example_pole" if is_packed else "ck_example_sign")),
        sqlite_strict=True,
        **options,
    )


def _insert(columns: tuple[str, ...], rows: Iterator[dict[str, Any]]) -> None:
    marks = ", ".join(f":{name}" for name in columns)
    statement = sa.text(f"INSERT INTO example ({', '.join(columns)}) VALUES ({marks})")
    part: list[dict[str, Any]] = []
    for row in rows:
        part.append(row)
        if len(part) == LISTS_AT_ONCE:
            op.get_bind().execute(statement, part)
            part = []
    if part:
        op.get_bind().execute(statement, part)


def _packed(kind: int, rows: list[Any]) -> bytes:
    """A list: its length, the numbers of each example, then the activations of each."""
    heads = b"".join(
        struct.pack(
            "<IHffH", row["seq"], row["position"], row["value"], row["mean"],
            _count(row["activations"]),
        )
        + (struct.pack("<H", row["rank"]) if kind == INTERVAL else b"")
        for row in rows
    )  # fmt: skip
    return struct.pack("<H", len(rows)) + heads + b"".join(row["activations"] for row in rows)


def _unpacked(row: Any) -> Iterator[dict[str, Any]]:
    packed, has_rank = row["packed"], row["kind"] == INTERVAL
    (count,) = struct.unpack_from("<H", packed)
    layout = struct.Struct("<IHffHH" if has_rank else "<IHffH")
    at = 2 + count * layout.size
    for place, fields in enumerate(layout.iter_unpack(packed[2:at])):
        seq, position, value, mean, pairs = fields[:5]
        end = at + (1 + pairs * (packed[at] + 3) if pairs else 0)
        yield {name: row[name] for name in KEY} | {
            "rank": fields[5] if has_rank else place,
            "position": position,
            "seq": seq,
            "value": value,
            "mean": mean,
            "activations": packed[at:end],
        }
        at = end


def _count(activations: bytes) -> int:
    return (len(activations) - 1) // (activations[0] + 3) if activations else 0
