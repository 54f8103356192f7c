"""The migrations of the database: where they are, whether one is due, and carrying them out, by one process at a time."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

__all__ = ["folder", "libpq_url", "newest", "revision_of", "upgrade", "write"]

# Several processes may want to migrate at a start; this lock of the database lets one.
LOCK = 0x7061726C6579


def folder() -> Path:
    """Where the migrations are: beside the package, in a checkout and in an installation."""
    return Path(__file__).parents[2] / "migrations"


def newest() -> str | None:
    """The revision that no other follows. Read from the files, so that a start with nothing due need not import Alembic."""
    revisions: set[str] = set()
    followed: set[str] = set()
    for path in (folder() / "versions").glob("*.py"):
        text = path.read_text()
        revisions.update(re.findall(r"^revision\b.*?=\s*[\"'](\w+)[\"']", text, re.MULTILINE))
        for line in re.findall(r"^down_revision\b.*?=(.*)$", text, re.MULTILINE):
            followed.update(re.findall(r"[\"'](\w+)[\"']", line))
    heads = revisions - followed
    return heads.pop() if len(heads) == 1 else None


def libpq_url(database_url: str) -> str:
    """The address as PostgreSQL's own programs write it."""
    return database_url.replace("postgresql+psycopg://", "postgresql://", 1)


def revision_of(database_url: str) -> str | None:
    """The revision that the database is at; None for one that was never migrated. Raises psycopg.Error when it is away."""
    with psycopg.connect(libpq_url(database_url), connect_timeout=5) as link:
        if link.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        found = link.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found[0]) if found else None


def upgrade(database_url: str) -> None:
    """Bring the database to the newest revision. Needs an app context. A process that comes second waits, then finds it done."""
    from flask_migrate import upgrade as run_migrations

    _install()
    with psycopg.connect(libpq_url(database_url), connect_timeout=5, autocommit=True) as link:
        link.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        if newest() is None or revision_of(database_url) != newest():
            run_migrations(str(folder()))


def write(message: str) -> None:
    """Write a migration for what the models have and the database lacks. Needs an app context and a database at the newest revision."""
    from flask_migrate import migrate

    _install()
    migrate(str(folder()), message=message)


def _install() -> None:
    """Give the app of this context Flask-Migrate. Only here: Alembic takes 10 MB of every process that imports it."""
    from flask import current_app
    from flask_migrate import Migrate

    from server.kit.db import db

    if "migrate" not in current_app.extensions:
        Migrate(current_app, db, directory=str(folder()))
