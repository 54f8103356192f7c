"""What an agent can look up: LangGraph's own store interface over the documents of the run's workspace."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable
from typing import Any

from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, Op, PutOp, Result, SearchItem, SearchOp

from server.engine.job import Search

__all__ = ["RunStore"]

# The query that finds how each document begins.
EVERYTHING = "*"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class RunStore(BaseStore):
    """The store of one run. `search(("workspace", <id>, "documents"), query=…)` finds passages; another workspace's are not there.

    Source: LangGraph's BaseStore.
    """

    def __init__(self, search: Search, workspace_id: str | None) -> None:
        self._search = search
        self._documents = ("workspace", workspace_id, "documents")

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations in order; blocks. Raises NotImplementedError for a write."""
        return [self._one(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations in order, off the agent's loop."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _one(self, op: Op) -> Result:
        if isinstance(op, SearchOp):
            return self._found(op)
        if isinstance(op, GetOp):
            return None
        if isinstance(op, ListNamespacesOp):
            return [tuple(str(part) for part in self._documents)] if self._documents[1] else []
        if isinstance(op, PutOp):
            raise NotImplementedError("An agent can read the documents of its workspace here, and write nothing.")
        raise NotImplementedError(type(op).__name__)

    def _found(self, op: SearchOp) -> list[SearchItem]:
        if op.namespace_prefix != self._documents:
            return []
        rows = self._search(str(self._documents[1]), op.query or EVERYTHING, op.limit + op.offset)
        return [_item(op.namespace_prefix, row) for row in rows[op.offset :]]


def _item(namespace: tuple[str, ...], row: dict[str, Any]) -> SearchItem:
    value = {name: each for name, each in row.items() if name != "score"}
    key = f"{row.get('document_id', '')}:{row.get('position', '')}"
    return SearchItem(namespace, key, value, EPOCH, EPOCH, score=row.get("score"))
