"""The first tables: models, texts, SAEs, indexes of features with examples, maps, runs.

Revision 0001, after none. What the columns mean is said in `server.store.tables` as it was then;
this file does not import it, because the tables go on changing and this step must not.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

count = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
small = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
number = sa.Double().with_variant(sa.REAL(), "sqlite")
integer, real, text = sa.Integer(), sa.REAL(), sa.Text()
boolean, blob = sa.Boolean(), sa.LargeBinary()


def upgrade() -> None:
    _create_texts()
    _create_saes()
    _create_features()
    _create_examples()
    _create_results()
    _create_runs()


def downgrade() -> None:
    with op.batch_alter_table("sae") as sae:
        sae.drop_constraint("fk_sae_published_index_id", type_="foreignkey")
        sae.drop_constraint("fk_sae_published_map_id", type_="foreignkey")
    for table in ("run", "concept_score", "map", "example", "feature", "feature_index"):
        op.drop_table(table)
    for table in ("sae", "seq", "corpus", "model"):
        op.drop_table(table)


def _columns(optional: bool = False, /, **types: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=optional) for name, kind in types.items()]


def _create_texts() -> None:
    op.create_table(
        "model",
        *_columns(id=integer, name=text, source=text, family=text, d_in=integer, layers=integer),
        *_columns(parameters=count, vocabulary=text, vocabulary_sha256=text),
        *_columns(True, bos_token_id=integer),
        *_columns(is_demo=boolean, created_at=text),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("name", name="uq_model_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "corpus",
        *_columns(id=integer, name=text, source=text, model_id=integer, fingerprint=text),
        *_columns(windows=integer, tokens=count, context=integer, bos_policy=text, created_at=text),
        sa.PrimaryKeyConstraint("id", name="pk_corpus"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_corpus_model_id"),
        sa.UniqueConstraint("model_id", "fingerprint", name="uq_corpus_model_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "seq",
        *_columns(corpus_id=integer, seq=integer, document=integer, start=integer),
        *_columns(token_bytes=small, tokens=blob),
        sa.PrimaryKeyConstraint("corpus_id", "seq", name="pk_seq"),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpus.id"], name="fk_seq_corpus_id"),
        sa.CheckConstraint("token_bytes IN (2, 4)", name=op.f("ck_seq_token_bytes")),
        sqlite_strict=True,
    )


def _create_saes() -> None:
    op.create_table(
        "sae",
        *_columns(id=integer, name=text, model_id=integer, layer=integer, hook=text),
        *_columns(sparsifier=text, d_in=integer, d_sae=integer),
        *_columns(True, k=integer),
        *_columns(path=text, sha256=text, config=text),
        *_columns(True, nmse=number, loss_recovered=number, l0=number, cosine=number),
        *_columns(evaluated_tokens=count),
        *_columns(True, published_index_id=integer, published_map_id=integer),
        *_columns(is_demo=boolean, created_at=text),
        sa.PrimaryKeyConstraint("id", name="pk_sae"),
        sa.UniqueConstraint("name", name="uq_sae_name"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_sae_model_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "feature_index",
        *_columns(id=integer, sae_id=integer, corpus_id=integer, tokens=count, windows=integer),
        *_columns(state=text, live=integer, two_sided=integer),
        *_columns(True, null_summary=text),
        *_columns(created_at=text),
        *_columns(True, published_at=text),
        sa.PrimaryKeyConstraint("id", name="pk_feature_index"),
        sa.ForeignKeyConstraint(["sae_id"], ["sae.id"], name="fk_feature_index_sae_id"),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpus.id"], name="fk_feature_index_corpus_id"),
        sa.CheckConstraint(
            "state IN ('building', 'published', 'replaced')", name=op.f("ck_feature_index_state")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feature_index_sae_id", "feature_index", ["sae_id"])
    op.create_table(
        "map",
        *_columns(id=integer, sae_id=integer, metric=text, method=text, perplexity=number),
        *_columns(seed=integer),
        *_columns(True, trustworthiness=number),
        *_columns(items=integer, coordinates=blob, features=blob, created_at=text),
        sa.PrimaryKeyConstraint("id", name="pk_map"),
        sa.ForeignKeyConstraint(["sae_id"], ["sae.id"], name="fk_map_sae_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_map_sae_id", "map", ["sae_id"])
    # Each of the three refers to another, so two references come after all tables are there.
    with op.batch_alter_table("sae", table_kwargs={"sqlite_autoincrement": True}) as sae:
        sae.create_foreign_key(
            "fk_sae_published_index_id", "feature_index", ["published_index_id"], ["id"]
        )
        sae.create_foreign_key("fk_sae_published_map_id", "map", ["published_map_id"], ["id"])


def _create_features() -> None:
    op.create_table(
        "feature",
        *_columns(index_id=integer, feature=integer, label=text, label_pos=text, label_neg=text),
        *_columns(firings_pos=count, firings_neg=count),
        *_columns(density_pos=number, density_neg=number, density=number),
        *_columns(sum_pos=number, sum_neg=number),
        *_columns(max_pos=number, max_neg=number, max_abs=number),
        *_columns(quantile_pos=number, quantile_neg=number),
        *_columns(True, pole_balance=number, opposition=number, consistency=number),
        *_columns(details=text, search=text),
        sa.PrimaryKeyConstraint("index_id", "feature", name="pk_feature"),
        sa.ForeignKeyConstraint(["index_id"], ["feature_index.id"], name="fk_feature_index_id"),
        sa.CheckConstraint(
            "firings_pos >= 0 AND firings_neg >= 0", name=op.f("ck_feature_firings")
        ),
        sa.CheckConstraint(
            "sum_pos >= 0 AND max_pos >= 0 AND quantile_pos >= 0", name=op.f("ck_feature_positive")
        ),
        sa.CheckConstraint(
            "sum_neg <= 0 AND max_neg <= 0 AND quantile_neg <= 0", name=op.f("ck_feature_negative")
        ),
        sqlite_strict=True,
    )
    for column in ("density_pos", "density_neg", "density", "max_pos", "max_neg", "max_abs"):
        op.create_index(f"ix_feature_{column}", "feature", ["index_id", column, "feature"])
    for column in ("pole_balance", "opposition", "consistency"):
        op.create_index(f"ix_feature_{column}", "feature", ["index_id", column, "feature"])


def _create_examples() -> None:
    op.create_table(
        "example",
        *_columns(index_id=integer, feature=integer, kind=small, pole=small, rank=small),
        *_columns(seq=integer, position=integer, value=real, mean=real, activations=blob),
        sa.PrimaryKeyConstraint("index_id", "feature", "kind", "pole", "rank", name="pk_example"),
        sa.CheckConstraint("kind IN (0, 1)", name=op.f("ck_example_kind")),
        sa.CheckConstraint(
            "(pole = 0 AND value >= 0) OR (pole = 1 AND value <= 0)", name=op.f("ck_example_sign")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_results() -> None:
    op.create_table(
        "concept_score",
        *_columns(index_id=integer, concept=text, feature=integer, sign=integer),
        *_columns(side_a=text, side_b=text, auc=number),
        *_columns(True, both_signs=number, null_95=number, p_value=number),
        *_columns(pairs=integer),
        sa.PrimaryKeyConstraint("index_id", "concept", name="pk_concept_score"),
        sa.ForeignKeyConstraint(
            ["index_id"], ["feature_index.id"], name="fk_concept_score_index_id"
        ),
        sa.CheckConstraint("sign IN (-1, 1)", name=op.f("ck_concept_score_sign")),
    )


def _create_runs() -> None:
    op.create_table(
        "run",
        *_columns(id=integer, kind=text, state=text, attempt=integer, payload=text),
        *_columns(done=number, total=number, message=text),
        *_columns(True, error=text, result=text),
        *_columns(cancel_requested=boolean, created_at=text),
        *_columns(True, started_at=text, finished_at=text, heartbeat_at=text),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled')",
            name=op.f("ck_run_state"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_state", "run", ["state", "id"])
