"""What an agent can look up and remember: LangGraph's own store interface over its owner's memory, and its workspace's documents."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)

from server.engine import recall
from server.engine.job import Search
from server.engine.recall import Find, Forget, Get, Memory, Namespaces, Put, Remembered
from server.kit.errors import Refusal

__all__ = ["RunStore"]

# The query that finds how each document begins.
EVERYTHING = "*"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SERVERS_FAULT = 500  # a refusal from here on is not about what was asked


class RunStore(BaseStore):
    """The store of one run: what its owner's agents and programs remember, whoever of them has put it there.

    `search(("workspace", <id>, "documents"), query=…)` finds passages of the workspace's documents, which can only be read;
    another workspace's are not there. Without a memory there is nothing else.
    Source: LangGraph's BaseStore.
    """

    supports_ttl = True

    def __init__(
        self, search: Search, workspace_id: str | None, *, memory: Memory | None = None, owner_id: uuid.UUID | None = None
    ) -> None:
        self._search = search
        self._documents = ("workspace", workspace_id, "documents") if workspace_id else None
        self._memory = memory if owner_id else None
        self._owner_id = owner_id

    @property
    def ttl_config(self) -> TTLConfig | None:  # type: ignore[override]
        """What holds where an agent does not say how long an item lives."""
        if self._memory is None:
            return None
        lifetimes = self._memory.lifetimes()
        return {"default_ttl": lifetimes.default_minutes, "refresh_on_read": lifetimes.refreshes}

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations; blocks. Reads see what was there before the writes.

        Raises ValueError for what cannot be kept or asked, NotImplementedError for a write to the documents.
        """
        ops = list(ops)
        read = {number: self._of_documents(op) for number, op in enumerate(ops) if self._is_about_documents(op)}
        others = [op for number, op in enumerate(ops) if number not in read]
        told = iter(map(self._told, others, self._carried_out([self._asked(op) for op in others])))
        return [read[number] if number in read else next(told) for number in range(len(ops))]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations, off the agent's loop."""
        return await asyncio.to_thread(self.batch, list(ops))

    # -- the memory --------------------------------------------------------------------------------------------------

    def _asked(self, op: Op) -> recall.Op:
        if isinstance(op, GetOp):
            return Get(op.namespace, op.key, op.refresh_ttl)
        if isinstance(op, SearchOp):
            return Find(op.namespace_prefix, op.query, op.filter or {}, op.limit, op.offset, op.refresh_ttl)
        if isinstance(op, ListNamespacesOp):
            return _namespaces_asked(op, has_documents=self._shows_documents(op))
        if isinstance(op, PutOp):
            return Forget(op.namespace, op.key) if op.value is None else Put(op.namespace, op.key, op.value, op.index, op.ttl)
        raise NotImplementedError(type(op).__name__)

    def _carried_out(self, ops: Sequence[recall.Op]) -> list[Any]:
        if self._memory is None or self._owner_id is None:
            return [_nothing(op) for op in ops]
        if not ops:
            return []
        try:
            return self._memory.carry_out(self._owner_id, ops)
        except Refusal as refusal:
            if refusal.status >= SERVERS_FAULT:
                raise
            raise ValueError(refusal.message) from refusal

    def _told(self, op: Op, result: Any) -> Result:
        if isinstance(op, ListNamespacesOp):
            documents = [self._documents] if self._shows_documents(op) and not op.offset and op.limit else []
            return [*(_cut(each, op.max_depth) for each in documents if each), *result]
        if isinstance(result, Remembered):
            return Item(**_facts(result))
        if isinstance(result, list):
            return [SearchItem(**_facts(each), score=each.score) for each in result]
        return None

    # -- the documents -----------------------------------------------------------------------------------------------

    def _is_about_documents(self, op: Op) -> bool:
        place = op.namespace_prefix if isinstance(op, SearchOp) else getattr(op, "namespace", None)
        return self._documents is not None and place == self._documents

    def _of_documents(self, op: Op) -> Result:
        if isinstance(op, SearchOp):
            return self._passages(op)
        if isinstance(op, PutOp):
            raise NotImplementedError("An agent can read the documents of its workspace here, and write nothing.")
        return None

    def _passages(self, op: SearchOp) -> list[SearchItem]:
        rows = self._search(str(op.namespace_prefix[1]), op.query or EVERYTHING, op.limit + op.offset)
        return [_passage(op.namespace_prefix, row) for row in rows[op.offset :]]

    def _shows_documents(self, op: ListNamespacesOp) -> bool:
        return self._documents is not None and all(_fits(self._documents, each) for each in op.match_conditions or ())


def _nothing(op: recall.Op) -> Any:
    """What an operation gives where there is no memory."""
    if isinstance(op, (Put, Forget)):
        raise NotImplementedError("An agent can write nothing here.")
    return None if isinstance(op, Get) else []


def _namespaces_asked(op: ListNamespacesOp, *, has_documents: bool) -> Namespaces:
    """The operation for the memory; the documents, where they are shown, are the first namespace of all."""
    conditions = op.match_conditions or ()
    return Namespaces(
        prefixes=tuple(tuple(each.path) for each in conditions if each.match_type == "prefix"),
        suffixes=tuple(tuple(each.path) for each in conditions if each.match_type == "suffix"),
        max_depth=op.max_depth,
        limit=max(0, op.limit - 1) if has_documents and not op.offset else op.limit,
        offset=max(0, op.offset - 1) if has_documents else op.offset,
    )


def _fits(namespace: Sequence[str], condition: MatchCondition) -> bool:
    path = condition.path
    labels = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    return len(labels) == len(path) and all(wanted in ("*", label) for label, wanted in zip(labels, path, strict=True))


def _cut(namespace: tuple[str, ...], max_depth: int | None) -> tuple[str, ...]:
    return namespace[:max_depth]


def _facts(item: Remembered) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("namespace", "key", "value", "created_at", "updated_at")}


def _passage(namespace: tuple[str, ...], row: dict[str, Any]) -> SearchItem:
    value = {name: each for name, each in row.items() if name != "score"}
    key = f"{row.get('document_id', '')}:{row.get('position', '')}"
    return SearchItem(namespace, key, value, EPOCH, EPOCH, score=row.get("score"))
