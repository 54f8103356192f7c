"""Remembering, forgetting and looking up, for programs and agents alike. Owns the commit."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from server.agents import catalogue
from server.agents.memory import searching
from server.agents.memory.meaning import Embed, Sense, Vector, asked, made_by, sense_of_puts, vectors_of_queries
from server.agents.memory.models import MemoryItem, has_expired
from server.agents.memory.rules import check, path_of
from server.agents.memory.searching import Found, Place
from server.engine.recall import Find, Forget, Get, Lifetimes, Namespaces, Op, Purpose, Put
from server.kit.clock import new_id, now
from server.kit.db import commit, db

__all__ = ["carry_out", "lifetimes", "sweep_expired"]

REPLACED = ("value", "embedding", "vectors", "signs", "ttl_minutes", "expires_at", "updated_at")
MINUTE = sa.text("interval '1 minute'")


def lifetimes() -> Lifetimes:
    """How long items live that do not say it themselves."""
    ttl = catalogue.config().store_ttl
    return Lifetimes(ttl.default_minutes, ttl.refresh_on_read) if ttl else Lifetimes()


def carry_out(owner_id: uuid.UUID, ops: Sequence[Op], *, embed: Embed = asked) -> list[Any]:
    """What each operation gives: Remembered or None, a list of Remembered, a list of namespaces, or None for a write.

    Reads see what was there before the writes; of several writes to one key the last counts. All reads by key are one statement,
    all deletions another, all writes a third. embed: makes the vectors where the configuration names an embedding.
    Commits. Blocks for as long as `embed` does. Raises a Refusal for what cannot be asked, before anything is done.
    """
    for op in ops:
        check(op)
    index = catalogue.config().store_index
    writes = {_place(op): op for op in ops if isinstance(op, (Put, Forget))}
    puts = [op for op in writes.values() if isinstance(op, Put)]
    senses = sense_of_puts(index, puts, _outside(embed))
    queries = vectors_of_queries(index, [op for op in ops if isinstance(op, Find)], _outside(embed))
    reading = Reading(owner_id, made_by(index) if index else "", queries)
    results = reading.answers(ops)
    changes = _write(owner_id, writes, list(zip(puts, senses, strict=True)))
    if changes + _prolong(reading.prolonged):
        commit()
    return results


def _outside(embed: Embed) -> Embed:
    """The same with no transaction open, which a request has for having looked who asks: a model may take seconds."""

    def embedded(texts: Sequence[str], purpose: Purpose) -> list[Vector]:
        commit()
        return embed(texts, purpose)

    return embedded


def sweep_expired(limit: int = 1000) -> int:
    """Delete items whose time is over, at most so many; how many there were. Several may sweep at once. Commits."""
    oldest = sa.select(MemoryItem.id).where(has_expired()).order_by(MemoryItem.expires_at).limit(limit).with_for_update(skip_locked=True)
    # Named, because the database may carry out a subquery again for each row, and then its limit holds for none.
    over = sa.select(oldest.cte("over").c.id)
    swept: Any = db.session.execute(sa.delete(MemoryItem).where(MemoryItem.id.in_(over)), execution_options={"synchronize_session": False})
    commit()
    return int(swept.rowcount)


@dataclass
class Reading:
    """The reads of one call. prolonged: the items whose time begins anew."""

    owner_id: uuid.UUID
    embedding: str
    queries: Mapping[str, Vector]

    def __post_init__(self) -> None:
        self.prolonged: set[uuid.UUID] = set()

    def answers(self, ops: Sequence[Op]) -> list[Any]:
        """What each operation gives, None for a write."""
        gets = [_place(op) for op in ops if isinstance(op, Get)]
        kept = searching.items_at(self.owner_id, gets)
        return [self._answer(op, kept) for op in ops]

    def _answer(self, op: Op, kept: Mapping[Place, Found]) -> Any:
        if isinstance(op, Get):
            return next(iter(self._read([kept[_place(op)]] if _place(op) in kept else [], refreshes=op.refreshes)), None)
        if isinstance(op, Find):
            return self._read(self._found(op), refreshes=op.refreshes)
        if isinstance(op, Namespaces):
            return searching.namespaces(self.owner_id, op)
        return None

    def _found(self, op: Find) -> list[Found]:
        query = self.queries.get(op.query or "")
        if query is None:
            return searching.found(self.owner_id, op)
        return searching.nearest(self.owner_id, op, query, self.embedding)

    def _read(self, items: Iterable[Found], *, refreshes: bool) -> list[Any]:
        items = list(items)
        if refreshes:
            self.prolonged.update(item_id for item_id, item in items if item.ttl_minutes is not None)
        return [item for _, item in items]


def _place(op: Get | Put | Forget) -> Place:
    return path_of(op.namespace), op.key


def _prolong(item_ids: Collection[uuid.UUID]) -> int:
    """Begin the time of items anew; one that somebody else is writing is left to them, so that this waits for nobody. How many."""
    if not item_ids:
        return 0
    free = sa.select(MemoryItem.id).where(MemoryItem.id.in_(list(item_ids))).with_for_update(skip_locked=True)
    until = sa.func.now() + MemoryItem.ttl_minutes * MINUTE
    changed: Any = db.session.execute(
        sa.update(MemoryItem).where(MemoryItem.id.in_(free)).values(expires_at=until), execution_options={"synchronize_session": False}
    )
    return int(changed.rowcount)


def _write(owner_id: uuid.UUID, writes: Mapping[Place, Put | Forget], puts: Sequence[tuple[Put, Sense | None]]) -> int:
    """Delete and put; how many writes there were."""
    forgotten = [place for place, op in writes.items() if isinstance(op, Forget)]
    if len(writes) > 1:
        _take_turn(owner_id)
    if forgotten:
        at = sa.tuple_(MemoryItem.path, MemoryItem.key).in_(forgotten)
        db.session.execute(
            sa.delete(MemoryItem).where(MemoryItem.owner_id == owner_id, at), execution_options={"synchronize_session": False}
        )
    if puts:
        _put(owner_id, puts)
    return len(writes)


def _take_turn(owner_id: uuid.UUID) -> None:
    """Let the others of this owner who write several items wait until the commit: two with the same items could wait for each other."""
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"memory:{owner_id}", 0))))


def _put(owner_id: uuid.UUID, puts: Sequence[tuple[Put, Sense | None]]) -> None:
    """Write items, each in the place of what was there; an item that is replaced keeps its age, one that had expired does not."""
    statement = insert(MemoryItem).values(expires_at=sa.func.now() + sa.bindparam("life", type_=sa.Double()) * MINUTE)
    fresh = {name: statement.excluded[name] for name in REPLACED}
    age = sa.case((has_expired(), statement.excluded.created_at), else_=MemoryItem.created_at)
    written = statement.on_conflict_do_update(index_elements=["owner_id", "path", "key"], set_={**fresh, "created_at": age})
    db.session.connection().execute(written, [_row(owner_id, put, sense) for put, sense in puts])


def _row(owner_id: uuid.UUID, put: Put, sense: Sense | None) -> dict[str, Any]:
    moment = now()
    found_by = sense.columns() if sense else {"embedding": None, "vectors": None, "signs": None}
    return {
        "id": new_id(),
        "owner_id": owner_id,
        "path": path_of(put.namespace),
        "key": put.key,
        "value": dict(put.value),
        "ttl_minutes": put.ttl_minutes,
        "life": put.ttl_minutes,
        "created_at": moment,
        "updated_at": moment,
        **found_by,
    }
