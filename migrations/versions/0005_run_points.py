"""What a run measured while it worked.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

number = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "run_point",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("done", number, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_point_run_id")),
        sa.PrimaryKeyConstraint("run_id", "done", name=op.f("pk_run_point")),
    )


def downgrade() -> None:
    op.drop_table("run_point")
