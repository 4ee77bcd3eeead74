"""Columns to sort by in blocks, a full-text index, shorter rows of examples and of features.

Revision 0003, after 0002. The full-text index is built by the code that will ask it, whichever
version that is: only then can the two agree.
"""

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.orm import Session

from server.store.index_rows import searched
from server.store.search import Terms, add_terms

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

small = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
number = sa.Double().with_variant(sa.REAL(), "sqlite")
integer, real, text, blob = sa.Integer(), sa.REAL(), sa.Text(), sa.LargeBinary()
STRICT = {"sqlite_strict": True}
SORTED = (
    "density_pos", "density_neg", "density", "max_pos", "max_neg", "max_abs",
    "pole_balance", "opposition", "consistency",
)  # fmt: skip
PUNCTUATION = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum())
EXAMPLE = (
    "index_id", "feature", "kind", "pole", "rank", "position", "seq", "value", "mean",
    "activations",
)  # fmt: skip


def upgrade() -> None:
    with op.batch_alter_table(
        "feature_index", table_kwargs={"sqlite_autoincrement": True}
    ) as index:
        for name in ("features", "revision"):
            index.add_column(sa.Column(name, integer, nullable=False, server_default="0"))
    with op.batch_alter_table(
        "feature_index", table_kwargs={"sqlite_autoincrement": True}
    ) as index:
        for name in ("features", "revision"):
            index.alter_column(name, server_default=None)
    op.execute(
        "UPDATE feature_index SET features ="
        " (SELECT count(*) FROM feature WHERE feature.index_id = feature_index.id)"
    )
    _create_columns()
    _create_search()
    _rewrite_features()
    _replace_examples(small, _shorter)


def downgrade() -> None:
    _replace_examples(integer, _longer)
    _restore_features()
    op.drop_table("feature_search")
    op.drop_table("feature_column")
    with op.batch_alter_table(
        "feature_index", table_kwargs={"sqlite_autoincrement": True}
    ) as index:
        index.drop_column("features")
        index.drop_column("revision")


def _create_columns() -> None:
    op.create_table(
        "feature_column",
        sa.Column("index_id", integer, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("first", integer, nullable=False),
        sa.Column("numbers", blob, nullable=False),
        sa.PrimaryKeyConstraint("index_id", "name", "first", name="pk_feature_column"),
        sa.ForeignKeyConstraint(
            ["index_id"], ["feature_index.id"], name="fk_feature_column_index_id"
        ),
        **STRICT,
    )


def _create_search() -> None:
    if op.get_context().dialect.name == "sqlite":
        kept = PUNCTUATION.replace("'", "''").replace('"', '""')
        # Words come ready-made, one of them per space. The first eight characters are the index's
        # id: the engine's own index of prefixes makes up to three typed letters quick.
        op.get_bind().exec_driver_sql(
            "CREATE VIRTUAL TABLE feature_search USING fts5(terms, content='', columnsize=0,"
            f" detail=none, prefix='9 10 11', tokenize=\"ascii tokenchars '{kept}'\")"
        )
        return
    op.create_table(
        "feature_search",
        sa.Column("index_id", integer, nullable=False),
        sa.Column("feature", integer, nullable=False),
        sa.Column("terms", text, nullable=False),
        sa.PrimaryKeyConstraint("index_id", "feature", name="pk_feature_search"),
    )
    op.execute(
        "CREATE INDEX ix_feature_search_terms ON feature_search"
        " USING gin (array_to_tsvector(string_to_array(terms, ' ')))"
    )


def _rewrite_features() -> None:
    for column in SORTED:
        op.drop_index(f"ix_feature_{column}", "feature")
    with op.batch_alter_table("feature", table_kwargs=STRICT) as feature:
        feature.add_column(sa.Column("words", text, nullable=False, server_default=""))
        feature.add_column(sa.Column("packed", blob, nullable=True))
    session = Session(op.get_bind())
    for index_id, rows in _features("details", "search"):
        session.connection().execute(
            sa.text(
                "UPDATE feature SET words = :words, packed = :packed"
                " WHERE index_id = :index AND feature = :feature"
            ),
            [
                {
                    "index": index_id,
                    "feature": row.feature,
                    "words": _words(row.search),
                    "packed": zlib.compress(row.details.encode("ascii")),
                }
                for row in rows
            ],
        )
        _write_columns(session, index_id, rows)
        terms = []
        for row in rows:
            found = searched(row.label, row.label_pos, row.label_neg, _words(row.search))
            terms.append(Terms(row.feature, set().union(*found.values())))
        add_terms(session, index_id, terms)
    with op.batch_alter_table("feature", table_kwargs=STRICT) as feature:
        for name in ("density", "max_abs", "details", "search"):
            feature.drop_column(name)
        feature.alter_column("words", server_default=None)
        feature.alter_column("packed", new_column_name="details", nullable=False)


def _write_columns(session: Session, index_id: int, rows: list[Any]) -> None:
    columns = {
        "firings": [min(row.firings_pos, row.firings_neg) for row in rows],
        "max": [row.max_abs for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in SORTED if name != "max_abs"},
    }
    blocks = {"feature": struct.pack(f"<{len(rows)}i", *(row.feature for row in rows))}
    for name, values in columns.items():
        numbers = (math.nan if value is None else value for value in values)
        blocks[name] = struct.pack(f"<{len(rows)}d", *numbers)
    session.connection().execute(
        sa.text(
            "INSERT INTO feature_column (index_id, name, first, numbers)"
            " VALUES (:index, :name, :first, :numbers)"
        ),
        [
            {"index": index_id, "name": name, "first": rows[0].feature, "numbers": numbers}
            for name, numbers in blocks.items()
        ],
    )


def _restore_features() -> None:
    with op.batch_alter_table("feature", table_kwargs=STRICT) as feature:
        for name in ("density", "max_abs"):
            feature.add_column(sa.Column(name, number, nullable=False, server_default="0"))
        for name in ("search", "plain"):
            feature.add_column(sa.Column(name, text, nullable=False, server_default=""))
    for index_id, rows in _features("details", "words"):
        op.get_bind().execute(
            sa.text(
                "UPDATE feature SET search = :search, plain = :plain,"
                " density = density_pos + density_neg,"
                " max_abs = CASE WHEN max_pos > -max_neg THEN max_pos ELSE -max_neg END"
                " WHERE index_id = :index AND feature = :feature"
            ),
            [
                {
                    "index": index_id,
                    "feature": row.feature,
                    "search": _lines(row),
                    "plain": json.dumps(
                        json.loads(zlib.decompress(row.details)), separators=(",", ":")
                    ),
                }
                for row in rows
            ],
        )
    with op.batch_alter_table("feature", table_kwargs=STRICT) as feature:
        feature.drop_column("details")
        feature.drop_column("words")
        for name in ("density", "max_abs", "search"):
            feature.alter_column(name, server_default=None)
        feature.alter_column("plain", new_column_name="details", server_default=None)
    for column in SORTED:
        op.create_index(f"ix_feature_{column}", "feature", ["index_id", column, "feature"])


def _features(*long: str) -> Iterator[tuple[int, list[Any]]]:
    """All features, a thousand of one index at a time."""
    connection = op.get_bind()
    for index_id in connection.execute(sa.text("SELECT id FROM feature_index")).scalars().all():
        last = -1
        while True:
            rows = connection.execute(
                sa.text(
                    "SELECT * FROM feature WHERE index_id = :index AND feature > :last"
                    " ORDER BY feature LIMIT 1024"
                ),
                {"index": index_id, "last": last},
            ).all()
            if not rows:
                break
            yield index_id, list(rows)
            last = rows[-1].feature


def _words(search: str) -> str:
    return "\n".join(search.split("\n")[:2])


def _lines(row: Any) -> str:
    """What 0001 searched: the + pole, the − pole and the label, a line each, in lower case."""
    words_pos, _, words_neg = row.words.partition("\n")
    lines = (f"{row.label_pos} {words_pos}", f"{row.label_neg} {words_neg}", row.label)
    return "\n".join(" ".join(line.split()).lower() for line in lines)


def _replace_examples(position: Any, rewritten: Callable[[bytes], bytes]) -> None:
    """Copy all examples to a table whose columns stand in another order."""
    op.rename_table("example", "example_before")
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_example RENAME TO pk_example_before")
    columns = {
        **dict.fromkeys(("index_id", "feature"), integer),
        **dict.fromkeys(("kind", "pole", "rank"), small),
        "position": position,
        "seq": integer,
        "value": real,
        "mean": real,
        "activations": blob,
    }
    op.create_table(
        "example",
        *(sa.Column(name, kind, nullable=False) for name, kind in columns.items()),
        sa.PrimaryKeyConstraint("index_id", "feature", "kind", "pole", "rank", name="pk_example"),
        sa.CheckConstraint("kind BETWEEN 0 AND 3", name=op.f("ck_example_kind")),
        sa.CheckConstraint(
            "(pole = 0 AND value >= 0) OR (pole = 1 AND value <= 0)", name=op.f("ck_example_sign")
        ),
        sqlite_with_rowid=False,
        **STRICT,
    )
    names = ", ".join(EXAMPLE)
    marks = ", ".join(f":{name}" for name in EXAMPLE)
    insert = sa.text(f"INSERT INTO example ({names}) VALUES ({marks})")
    found = op.get_bind().execute(sa.text(f"SELECT {names} FROM example_before"))
    for part in _parts(found):
        rows = [row._asdict() for row in part]
        for row in rows:
            row["activations"] = rewritten(row["activations"])
        op.get_bind().execute(insert, rows)
    op.drop_table("example_before")


def _parts(found: Any) -> Iterable[list[Any]]:
    while part := found.fetchmany(10_000):
        yield part


def _shorter(before: bytes) -> bytes:
    """(uint16, float32) pairs to: width of an offset, offsets, upper three bytes of each value."""
    pairs = list(struct.iter_unpack("<HI", before))
    if not pairs:
        return b""
    width = 1 if max(offset for offset, _ in pairs) < 256 else 2
    offsets = struct.pack(f"<B{len(pairs)}{'BH'[width - 1]}", width, *(o for o, _ in pairs))
    rounded = (bits + 0x80 if bits & 0x7FFFFFFF < 0x7F7FFF80 else bits for _, bits in pairs)
    return offsets + b"".join(struct.pack("<I", bits)[1:] for bits in rounded)


def _longer(before: bytes) -> bytes:
    if not before:
        return b""
    width = before[0]
    count = (len(before) - 1) // (width + 3)
    offsets = struct.unpack_from(f"<{count}{'BH'[width - 1]}", before, 1)
    upper = before[1 + width * count :]
    return b"".join(
        struct.pack("<H", offset) + b"\0" + upper[3 * place : 3 * place + 3]
        for place, offset in enumerate(offsets)
    )
