"""How the parts of the server are, asked one by one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from server.kit import redis
from server.kit.clock import after
from server.kit.db import db, rollback
from server.kit.version import version_of
from server.runs.models import Run, Worker
from server.settings import Settings

__all__ = ["health"]


def health(settings: Settings) -> dict[str, Any]:
    """The state of the database, Redis, the workers and the queue. Never raises; a part that is away is named."""
    workers, waiting, database = _runs(settings)
    carried = redis.is_up()
    is_well = carried and database == "connected" and workers > 0
    return {
        "status": "ok" if is_well else "degraded",
        "database": database,
        "redis": _redis_words(settings, is_up=carried),
        "workers": workers,
        "queue": waiting,
        "version": version_of(),
    }


def _runs(settings: Settings) -> tuple[int, int, str]:
    try:
        workers = db.session.scalar(sa.select(sa.func.count()).where(Worker.beat_at > after(-settings.lease_s))) or 0
        waiting = db.session.scalar(sa.select(sa.func.count()).select_from(Run).where(Run.status == "pending")) or 0
    except SQLAlchemyError:
        rollback()
        return 0, 0, "unavailable"
    return workers, waiting, "connected"


def _redis_words(settings: Settings, *, is_up: bool) -> str:
    if not is_up:
        return "unavailable"
    return "unavailable (fallback to memory)" if settings.redis_fallback else "connected"
