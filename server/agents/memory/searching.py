"""Reading what is remembered: by key, by namespace and filter, by meaning. Changes nothing and commits nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from psycopg.errors import QueryCanceled
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import OperationalError

from server.agents.memory.filters import matching
from server.agents.memory.meaning import Vector
from server.agents.memory.models import COLUMNS, MemoryItem, lives, remembered, within
from server.agents.memory.rules import ANY_LABEL, SearchTooWide, namespace_of, path_of
from server.agents.memory.vectors import nearness, signs
from server.engine.recall import Find, Namespace, Namespaces, Remembered
from server.kit import offload
from server.kit.db import db, rollback

__all__ = ["Place", "Found", "found", "items_at", "namespaces", "nearest"]

LOOK_S = 5  # how long the database may look through a namespace for one search
# How many candidates are compared exactly for each item that is asked for, and besides.
CANDIDATES_EACH = 2
CANDIDATES_MORE = 150
# How alike the signs are: the share of common signs, of the nearest of an item's vectors.
ALIKE = """(
    SELECT max(bit_count(each & CAST(:signs AS bit varying)) / sqrt(bit_count(each) + 1)) FROM unnest(memory_items.signs) AS each
) DESC, memory_items.id"""

# A namespace's path, and a key.
Place = tuple[str, str]
# An item with its row's id.
Found = tuple[uuid.UUID, Remembered]


def items_at(owner_id: uuid.UUID, places: Sequence[Place]) -> dict[Place, Found]:
    """The items at these places; one statement, however many they are."""
    if not places:
        return {}
    at = sa.tuple_(MemoryItem.path, MemoryItem.key).in_(list(dict.fromkeys(places)))
    rows = db.session.execute(sa.select(*COLUMNS).where(lives(owner_id), at))
    return {(row.path, row.key): (row.id, remembered(row)) for row in rows}


def found(owner_id: uuid.UUID, find: Find) -> list[Found]:
    """The items of a search without a meaning, by namespace and then by age, the oldest first."""
    return _page(_matches(owner_id, find), find.limit, find.offset)


def nearest(owner_id: uuid.UUID, find: Find, query: Vector, embedding: str) -> list[Found]:
    """The items of a search by meaning, the nearest first; then, without a score, those that are not found by this embedding."""
    matches = _matches(owner_id, find)
    indexed = MemoryItem.embedding == embedding
    candidates = _candidates(sa.and_(matches, indexed), find, query)
    page = candidates[find.offset : find.offset + find.limit]
    items = _scored(page)
    if len(items) < find.limit and len(page) == len(items):
        others = sa.and_(matches, MemoryItem.embedding.is_distinct_from(embedding))
        items += _page(others, find.limit - len(page), max(0, find.offset - len(candidates)))
    return items


def namespaces(owner_id: uuid.UUID, asked: Namespaces) -> list[Namespace]:
    """The namespaces that hold items, in order, each once."""
    path = MemoryItem.path
    shown = path if asked.max_depth is None else sa.func.substring(path, rf"^(?:[^.]*\.){{1,{asked.max_depth}}}")
    conditions = [lives(owner_id), *(_begins(each) for each in asked.prefixes), *(_ends(each) for each in asked.suffixes)]
    query = sa.select(shown.label("shown")).where(*conditions).distinct().order_by("shown")
    with _in_time():
        return [namespace_of(each) for each in db.session.scalars(query.limit(asked.limit).offset(asked.offset))]


def _matches(owner_id: uuid.UUID, find: Find) -> sa.ColumnElement[bool]:
    return sa.and_(lives(owner_id), within(path_of(find.prefix)), matching(sa.type_coerce(MemoryItem.value, JSONB), find.filter))


def _page(condition: sa.ColumnElement[bool], limit: int, offset: int) -> list[Found]:
    query = sa.select(*COLUMNS).where(condition).order_by(MemoryItem.path, MemoryItem.id)
    with _in_time():
        return [(row.id, remembered(row)) for row in db.session.execute(query.limit(limit).offset(offset))]


def _candidates(condition: sa.ColumnElement[bool], find: Find, query: Vector) -> list[tuple[uuid.UUID, float]]:
    """The ids of the items whose signs are most like the query's, with their true nearness, in its order."""
    most = CANDIDATES_EACH * (find.offset + find.limit) + CANDIDATES_MORE
    by_signs = sa.select(MemoryItem.id, MemoryItem.vectors).where(condition).order_by(sa.text(ALIKE)).limit(most)
    with _in_time():
        rows = db.session.execute(by_signs, {"signs": signs(query)}).all()
    scores = offload.run(nearness, [row.vectors or b"" for row in rows], query)
    return sorted(((row.id, score) for row, score in zip(rows, scores, strict=True)), key=lambda each: -each[1])


def _scored(page: Sequence[tuple[uuid.UUID, float]]) -> list[Found]:
    rows = db.session.execute(sa.select(*COLUMNS).where(MemoryItem.id.in_([item_id for item_id, _ in page])))
    by_id = {row.id: row for row in rows} if page else {}
    return [(item_id, remembered(by_id[item_id], score)) for item_id, score in page if item_id in by_id]


@contextmanager
def _in_time() -> Iterator[None]:
    """Let the database look for LOOK_S at most. Raises SearchTooWide where that is not enough."""
    db.session.execute(sa.text(f"SET LOCAL statement_timeout = '{LOOK_S}s'"))
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        rollback()
        raise SearchTooWide(f"The search takes longer than {LOOK_S} s: name a longer namespace.") from None


def _begins(namespace: Namespace) -> sa.ColumnElement[bool]:
    """The paths that begin with the labels; those before the first `*` are a range of the index."""
    fixed = namespace[: namespace.index(ANY_LABEL)] if ANY_LABEL in namespace else namespace
    if len(fixed) == len(namespace):
        return within(path_of(namespace))
    return sa.and_(within(path_of(fixed)), MemoryItem.path.regexp_match(f"^{_pattern(namespace)}"))


def _ends(namespace: Namespace) -> sa.ColumnElement[bool]:
    return MemoryItem.path.regexp_match(rf"(?:^|\.){_pattern(namespace)}$")


def _pattern(namespace: Namespace) -> str:
    return "".join(r"[^.]+\." if label == ANY_LABEL else f"{_literal(label)}\\." for label in namespace)


def _literal(label: str) -> str:
    """A label as a regular expression of PostgreSQL, in which only letters and digits mean something after a backslash."""
    return "".join(f"\\{each}" if each.isascii() and not each.isalnum() else each for each in label)
