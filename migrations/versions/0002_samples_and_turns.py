"""Examples of two more kinds, interval samples and turning points; the canonical sign of an SAE.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sae", table_kwargs={"sqlite_autoincrement": True}) as sae:
        sae.add_column(sa.Column("flips", sa.LargeBinary(), nullable=True))
    _allow_kinds("kind BETWEEN 0 AND 3")


def downgrade() -> None:
    op.execute("DELETE FROM example WHERE kind > 1")
    _allow_kinds("kind IN (0, 1)")
    with op.batch_alter_table("sae", table_kwargs={"sqlite_autoincrement": True}) as sae:
        sae.drop_column("flips")


def _allow_kinds(condition: str) -> None:
    kinds = {"sqlite_strict": True, "sqlite_with_rowid": False}
    with op.batch_alter_table("example", table_kwargs=kinds) as example:
        example.drop_constraint(op.f("ck_example_kind"), type_="check")
        example.create_check_constraint(op.f("ck_example_kind"), condition)
