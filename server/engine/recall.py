"""What can be asked of long-term memory, and what comes back. Imports nothing that can fail; carried out by whoever the engine is given."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["Find", "Forget", "Get", "Lifetimes", "Memory", "Namespace", "Namespaces", "Op", "Purpose", "Put", "Remembered"]

Namespace = tuple[str, ...]
# What a text is embedded for: some models make other vectors of a query than of what it finds.
Purpose = Literal["item", "query"]


@dataclass(frozen=True)
class Get:
    """One item. refreshes: being read prolongs its life."""

    namespace: Namespace
    key: str
    refreshes: bool = True


@dataclass(frozen=True)
class Put:
    """Remember a value in the place of what was there.

    index: paths of what is found by meaning; None for those of the configuration, False for nothing.
    ttl_minutes: how long it lives, counted anew when it is read; None for ever.
    """

    namespace: Namespace
    key: str
    value: Mapping[str, Any]
    index: Literal[False] | Sequence[str] | None = None
    ttl_minutes: float | None = None


@dataclass(frozen=True)
class Forget:
    """Delete an item, if it is there."""

    namespace: Namespace
    key: str


@dataclass(frozen=True)
class Find:
    """Items of the namespaces that begin so, in the order of namespace and age; with a query, the nearest in meaning first.

    filter: field to value, or to {"$eq" | "$ne" | "$gt" | "$gte" | "$lt" | "$lte": value}.
    """

    prefix: Namespace = ()
    query: str | None = None
    filter: Mapping[str, Any] = field(default_factory=dict)
    limit: int = 10
    offset: int = 0
    refreshes: bool = True


@dataclass(frozen=True)
class Namespaces:
    """The namespaces that hold items, cut at `max_depth` labels. A `*` in a prefix or suffix is any one label."""

    prefixes: tuple[Namespace, ...] = ()
    suffixes: tuple[Namespace, ...] = ()
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0


Op = Get | Put | Forget | Find | Namespaces


@dataclass(frozen=True)
class Remembered:
    """An item. score: how near it is to the query, 1 at most; None where nothing was compared."""

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: dt.datetime
    updated_at: dt.datetime
    score: float | None = None
    ttl_minutes: float | None = None
    expires_at: dt.datetime | None = None


@dataclass(frozen=True)
class Lifetimes:
    """What holds where an operation does not say: how long a new item lives (None: for ever), and whether reading prolongs that."""

    default_minutes: float | None = None
    refreshes: bool = True


class Memory(Protocol):
    """The long-term memory of every owner; may be called from any thread, and blocks."""

    def carry_out(self, owner_id: uuid.UUID, ops: Sequence[Op]) -> list[Any]:
        """What each operation gives: Remembered or None, a list of Remembered, a list of namespaces, or None for a write.

        Reads see what was there before the writes of the same call. Raises a Refusal for what cannot be asked, before anything is done.
        """

    def lifetimes(self) -> Lifetimes:
        """What the configuration says now."""
