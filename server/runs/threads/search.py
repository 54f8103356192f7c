"""Finding threads among many: one page of an owner's threads, how many there are, and values picked out of each."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute, load_only

from server.kit.db import db
from server.kit.errors import Invalid
from server.runs.threads.models import Thread

__all__ = ["FIELDS", "ORDERS", "Page", "Path", "Wanted", "count", "page", "path"]

# What is counted of a search's result beyond its page: enough for a list to say that there are many.
COUNTED = 1000
# What a thread is sorted by, and which columns a field of an answer needs.
ORDERS: dict[str, InstrumentedAttribute[Any]] = {
    "thread_id": Thread.name,
    "status": Thread.status,
    "created_at": Thread.created_at,
    "updated_at": Thread.updated_at,
    "state_updated_at": Thread.state_updated_at,
}
FIELDS: dict[str, tuple[InstrumentedAttribute[Any], ...]] = {
    "thread_id": (Thread.name,),
    "created_at": (Thread.created_at,),
    "updated_at": (Thread.updated_at,),
    "state_updated_at": (Thread.state_updated_at, Thread.created_at),
    "metadata": (Thread.about,),
    "config": (Thread.config,),
    "status": (Thread.status,),
    "values": (Thread.values,),
    "interrupts": (Thread.interrupts,),
    "error": (Thread.error,),
}
# The fields that values are picked out of.
ROOTS = ("config", "interrupts", "metadata", "values")
STEP = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>-?\d{1,6})\]")


@dataclass(frozen=True)
class Wanted:
    """Which threads: all of this has to be so. metadata, values: what is in it."""

    owner_id: uuid.UUID
    ids: Sequence[str] = ()
    metadata: Mapping[str, Any] | None = None
    values: Mapping[str, Any] | None = None
    status: str | None = None


@dataclass(frozen=True)
class Page:
    """A page of threads, and how many there are: exactly up to COUNTED beyond the page."""

    threads: list[Thread]
    total: int


@dataclass(frozen=True)
class Path:
    """A way into a field: `values.messages[-1].content`. It leads to None where there is nothing, or where it is no path."""

    field: str
    steps: tuple[str | int, ...] | None

    def lead(self, value: Any) -> Any:
        """What is there, in the value of the field."""
        if self.steps is None:
            return None
        for step in self.steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return value


def path(text: str) -> Path:
    """The path that a client wrote. Raises Invalid when it leads into none of the fields that may be looked into."""
    root = re.split(r"[.\[]", text, maxsplit=1)[0]
    if root not in ROOTS:
        raise Invalid(f"Extract path '{text}' must start with one of: {', '.join(ROOTS)}")
    rest = text[len(root) :]
    if not re.fullmatch(r"(\.[^.\[\]]+|\[-?\d{1,6}\])*", rest):
        return Path(root, None)
    return Path(root, tuple(each["name"] or int(each["index"]) for each in STEP.finditer(rest)))


def page(
    wanted: Wanted, *, sort_by: str = "updated_at", ascending: bool = False, limit: int, offset: int, fields: Sequence[str] = tuple(FIELDS)
) -> Page:
    """A page of threads with what the fields need of them. Threads alike in what they are sorted by are in the order of their making."""
    column = ORDERS[sort_by]
    # Only one of the columns may be empty; the indexes of the others are in the order that has no say about that.
    downwards = column.desc().nulls_last() if column is Thread.state_updated_at else column.desc()
    order = (column.asc(), Thread.id.asc()) if ascending else (downwards, Thread.id.desc())
    needed = [column for name in fields for column in FIELDS[name]]
    found = sa.select(Thread).where(*_conditions(wanted)).order_by(*order).offset(offset).limit(limit + 1)
    threads = list(db.session.scalars(found.options(load_only(Thread.id, *needed))))
    if len(threads) <= limit and (threads or not offset):
        return Page(threads, offset + len(threads))
    some = sa.select(sa.literal(1)).where(*_conditions(wanted)).limit(offset + limit + COUNTED).subquery()
    return Page(threads[:limit], db.session.scalar(sa.select(sa.func.count()).select_from(some)) or 0)


def count(wanted: Wanted) -> int:
    """How many threads there are of that kind."""
    return db.session.scalar(sa.select(sa.func.count()).select_from(Thread).where(*_conditions(wanted))) or 0


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [Thread.owner_id == wanted.owner_id, Thread.is_temporary.is_(False)]
    if wanted.ids:
        conditions.append(Thread.name.in_(wanted.ids))
    if wanted.status is not None:
        # Written out, so that the index of the few that are not idle is used.
        conditions.append(Thread.status == sa.bindparam("status", wanted.status, literal_execute=True))
    if wanted.metadata:
        conditions.append(Thread.about.contains(dict(wanted.metadata)))
    if wanted.values:
        conditions.append(sa.cast(Thread.values, JSONB).contains(dict(wanted.values)))
    return conditions
