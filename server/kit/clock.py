"""Time and time-ordered ids."""

from __future__ import annotations

import datetime as dt
import uuid

import uuid_utils.compat

__all__ = ["after", "iso", "new_id", "now"]


def now() -> dt.datetime:
    """The moment, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def after(seconds: float) -> dt.datetime:
    """The moment so many seconds from now, aware, in UTC."""
    return now() + dt.timedelta(seconds=seconds)


def iso(moment: dt.datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`. Source: RFC 3339."""
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_id() -> uuid.UUID:
    """A UUIDv7: unique, and sorted by the millisecond of its making. Source: RFC 9562, 5.7."""
    return uuid_utils.compat.uuid7()
