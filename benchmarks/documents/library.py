"""Documents in memory, as the store of a graph: the server's own parsing, index and ranking, without its database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langgraph.store.base import BaseStore, Op, Result, SearchItem, SearchOp

from server.kit.clock import now
from server.workspaces.documents import parsing
from server.workspaces.documents.ranking import Found, Hit, as_value, rank
from server.workspaces.documents.retrieval import Index, asked_of

CANDIDATES = 40


class Library(BaseStore):
    """The documents at these paths, searched by any namespace."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.index = Index()
        self.passages: dict[str, Found] = {}
        for path in paths:
            self.add(path.name, path.read_bytes())

    def add(self, name: str, data: bytes) -> None:
        """Take in one document."""
        parsed = parsing.read(name, data)
        found = [Found(f"{name}#{cut.position}", name, name, cut.heading, cut.page, cut.position, cut.text) for cut in parsed.passages]
        self.passages.update({each.passage_id: each for each in found})
        self.index.add(name, name, [(each.passage_id, each.heading, each.text) for each in found])

    def hits(self, question: str, limit: int) -> list[Hit]:
        """The passages that answer best."""
        asked = asked_of(self.index, question)
        best = self.index.best(asked, CANDIDATES)
        return rank(asked, [(self.passages[str(key)], bm25) for key, bm25 in best], limit)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Answer searches; nothing else is asked of it."""
        return [self._found(op) for op in ops if isinstance(op, SearchOp)]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _found(self, op: SearchOp) -> list[SearchItem]:
        found = [_item(as_value(hit.found, hit), hit.score) for hit in self.hits(op.query or "", op.limit)]
        return found or [_item(as_value(each), 0.0) for each in self.passages.values() if each.position == 0][: op.limit]


def _item(value: dict[str, Any], score: float | None) -> SearchItem:
    moment = now()
    return SearchItem(("workspace", "here", "documents"), value["passage_id"], value, moment, moment, score)
