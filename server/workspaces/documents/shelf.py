"""The indexes of the workspaces that were asked lately, in this process's memory; each is rebuilt from the database at any time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from server.workspaces.documents.retrieval import Index

__all__ = ["Shelf"]

MAX_WASTE = 0.5  # an index with more removed than this is built anew


class _Place:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.index = Index()


class Shelf:
    """Indexes by workspace, the least lately used dropped first when they hold more than `max_passages` together."""

    def __init__(self, max_passages: int) -> None:
        self._max_passages = max_passages
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    @contextmanager
    def index_of(self, workspace: Hashable) -> Iterator[Index]:
        """The workspace's index, for this thread alone while it is in the block; empty at first."""
        with self._lock:
            place = self._places.setdefault(workspace, _Place())
            self._places.move_to_end(workspace)
        with place.lock:
            if place.index.waste > MAX_WASTE:
                place.index = Index()
            yield place.index
        self._trim()

    def __len__(self) -> int:
        return len(self._places)

    def _trim(self) -> None:
        """Drop what was used longest ago, never the last used."""
        with self._lock:
            held = sum(place.index.size for place in self._places.values())
            while held > self._max_passages and len(self._places) > 1:
                _, dropped = self._places.popitem(last=False)
                held -= dropped.index.size
