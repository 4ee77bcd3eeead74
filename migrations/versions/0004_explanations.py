"""Explanations of features by language models; how a corpus was cut into windows.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

number = sa.Double().with_variant(sa.REAL(), "sqlite")
text = sa.Text()
SCORES = ("detection_pos", "detection_neg", "sign", "sign_swapped")


def upgrade() -> None:
    op.create_table(
        "explanation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sae_id", sa.Integer(), nullable=False),
        sa.Column("feature", sa.Integer(), nullable=False),
        *(
            sa.Column(name, text, nullable=False)
            for name in ("model", "text_pos", "text_neg", "text_axis")
        ),
        *(sa.Column(name, number, nullable=True) for name in SCORES),
        sa.Column("contexts", sa.Integer(), nullable=False),
        sa.Column("created_at", text, nullable=False),
        sa.CheckConstraint(
            " AND ".join(f"coalesce({name}, 0) BETWEEN 0 AND 1" for name in SCORES),
            name=op.f("ck_explanation_scores"),
        ),
        sa.ForeignKeyConstraint(["sae_id"], ["sae.id"], name=op.f("fk_explanation_sae_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_explanation")),
        sa.UniqueConstraint("sae_id", "feature", "model", name=op.f("uq_explanation_sae_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("corpus", table_kwargs={"sqlite_autoincrement": True}) as corpus:
        corpus.add_column(sa.Column("packing", text, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("corpus", table_kwargs={"sqlite_autoincrement": True}) as corpus:
        corpus.drop_column("packing")
    op.drop_table("explanation")
