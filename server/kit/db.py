"""The database: one metadata, one session a request or task, and what is to be told after a commit.

`commit()` is the house's commit: it commits, then runs what `after_commit` collected, in order. Nothing that was collected is
run when the transaction is rolled back. (SQLAlchemy's own `after_commit` event also fires for a released savepoint.)
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

import orjson
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import DeclarativeBase

from server.settings import Settings

__all__ = ["Base", "after_commit", "commit", "configure", "db", "driver_url", "one_by_one", "reading", "release", "rollback"]

log = logging.getLogger(__name__)

# For each engine of this process itself, told not to open transactions; they share its connections.
_readers: dict[Engine, Engine] = {}


class Base(DeclarativeBase):
    """The models of the server."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dt.datetime: sa.DateTime(timezone=True),
        uuid.UUID: sa.Uuid(),
        str: sa.Text(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})


def driver_url(url: str) -> str:
    """A PostgreSQL address with the driver that this server uses."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def configure(app: Flask, settings: Settings) -> None:
    """Attach the database to the app; connects at the first use."""
    app.config["SQLALCHEMY_DATABASE_URI"] = driver_url(settings.database_url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": settings.database_pool,
        "max_overflow": 0,
        "pool_timeout": 5,
        "pool_use_lifo": True,
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "connect_args": {"connect_timeout": 5, "application_name": "parley"},
    }
    db.init_app(app)


def after_commit(tell: Callable[[], object]) -> None:
    """Run `tell` once, after the commit of the transaction in progress; a failure of it is logged, the commit stands."""
    db.session.info.setdefault("after_commit", []).append(tell)


def commit() -> None:
    """Commit the transaction in progress, then tell."""
    tellings = db.session.info.pop("after_commit", [])
    try:
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    for tell in tellings:
        try:
            tell()
        except Exception:
            log.exception("db.after_commit_failed")


def rollback() -> None:
    """Give up the transaction in progress, and what it wanted told."""
    db.session.info.pop("after_commit", None)
    db.session.rollback()


def reading() -> Connection:
    """A connection for reading once: each statement stands by itself. To be used as a context manager."""
    return _reader(db.engine).connect()


def _reader(engine: Engine) -> Engine:
    if engine not in _readers:
        _readers[engine] = engine.execution_options(isolation_level="AUTOCOMMIT")
    return _readers[engine]


def release() -> None:
    """Let go of the transaction in progress; what was read in it stays as it is, on its own. For whoever waits for long after it."""
    db.session.info.pop("after_commit", None)
    db.session.close()


def one_by_one() -> None:
    """Let each statement of this session stand by itself until `release`: a request that reads, or writes once, saves round trips.

    To be called before the session is used.
    """
    db.session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
