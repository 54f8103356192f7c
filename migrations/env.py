"""How Alembic reaches the database and the models: through the Flask app in whose context it runs."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app

db = current_app.extensions["migrate"].db

# Tables of the library that keeps agents' checkpoints, which makes and migrates them itself.
FOREIGN_PREFIXES = ("checkpoint", "store", "vector_", "alembic_")


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether autogenerate is to compare an object of the database with the models."""
    return kind != "table" or name in db.metadata.tables or not (name or "").startswith(FOREIGN_PREFIXES)


def only_if_changed(migration_context: Any, revision: Any, directives: list[Any]) -> None:
    """Make no migration when the models and the database agree."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


OPTIONS: dict[str, Any] = {
    "target_metadata": db.metadata,
    "include_name": is_ours,
    "compare_type": True,
    "compare_server_default": True,
    "transaction_per_migration": True,
    "process_revision_directives": only_if_changed,
}


def run_offline() -> None:
    """Print the SQL instead of carrying it out (`flask db upgrade --sql`)."""
    url = db.engine.url.render_as_string(hide_password=False)
    context.configure(url=url, literal_binds=True, dialect_opts={"paramstyle": "named"}, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Carry the migrations out, each in a transaction of its own."""
    with db.engine.connect() as connection:
        context.configure(connection=connection, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
