"""threads

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "threads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("values", postgresql.JSON(), nullable=True),
        sa.Column("interrupts", postgresql.JSON(), nullable=True),
        sa.Column("error", postgresql.JSON(), nullable=True),
        sa.Column("config", postgresql.JSON(), nullable=False),
        sa.Column("is_temporary", sa.Boolean(), nullable=False),
        sa.Column("ttl", postgresql.JSON(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_threads_owner_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_threads")),
        sa.UniqueConstraint("owner_id", "name", name=op.f("uq_threads_owner_id")),
        postgresql_with={"fillfactor": "80"},
    )
    kept = sa.text("is_temporary IS false")
    op.create_index("ix_threads_owner_updated", "threads", ["owner_id", "updated_at"], postgresql_where=kept)
    op.create_index("ix_threads_owner_created", "threads", ["owner_id", "created_at"], postgresql_where=kept)
    op.create_index(
        "ix_threads_owner_status",
        "threads",
        ["owner_id", "status", "updated_at"],
        postgresql_where=sa.text("status <> 'idle' AND is_temporary IS false"),
    )
    op.create_index(
        "ix_threads_metadata",
        "threads",
        ["metadata"],
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=kept,
    )
    op.create_index("ix_threads_expires", "threads", ["expires_at"], postgresql_where=sa.text("expires_at IS NOT NULL"))
    op.add_column("runs", sa.Column("thread_key", sa.Uuid(), nullable=True))
    op.add_column("runs", sa.Column("assistant_id", sa.Uuid(), nullable=True))
    op.add_column("runs", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("options", postgresql.JSON(), nullable=True))
    op.add_column("runs", sa.Column("metadata", postgresql.JSONB(), server_default="{}", nullable=False))
    op.create_foreign_key(op.f("fk_runs_thread_key_threads"), "runs", "threads", ["thread_key"], ["id"], ondelete="CASCADE")
    op.create_index("ix_runs_thread_key", "runs", ["thread_key", "id"], postgresql_where=sa.text("thread_key IS NOT NULL"))
    op.create_index(
        "uq_runs_idempotency",
        "runs",
        ["owner_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_index("ix_runs_interrupted", table_name="runs")
    op.create_index(
        "ix_runs_interrupted", "runs", ["updated_at"], postgresql_where=sa.text("status = 'interrupted' AND finished_at IS NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_runs_interrupted", table_name="runs")
    op.create_index("ix_runs_interrupted", "runs", ["updated_at"], postgresql_where=sa.text("status = 'interrupted'"))
    op.drop_index("uq_runs_idempotency", table_name="runs")
    op.drop_index("ix_runs_thread_key", table_name="runs")
    op.drop_constraint(op.f("fk_runs_thread_key_threads"), "runs", type_="foreignkey")
    for name in ("metadata", "options", "idempotency_key", "assistant_id", "thread_key"):
        op.drop_column("runs", name)
    op.drop_table("threads")
