"""The store that a run's agent sees: the documents of its own workspace, read only."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.store.base import PutOp

from server.engine.memory import RunStore

MINE = ("workspace", "w1", "documents")


class Shelf:
    """Some passages, and what was asked of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    def search(self, workspace_id: str, query: str, limit: int) -> list[dict[str, Any]]:
        self.asked.append((workspace_id, query, limit))
        passages = [{"document_id": "d", "position": n, "text": f"passage {n}", "score": 1 - n / 10} for n in range(5)]
        return passages[:limit]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def found(store: RunStore, *place: str, **options: Any) -> list[Any]:
    """What a search finds, the same for agents that wait and those that do not."""
    at_once = store.search(place, **options)
    assert asyncio.run(store.asearch(place, **options)) == at_once
    return at_once


def test_an_agent_finds_passages_of_its_own_workspace(shelf: Shelf) -> None:
    items = found(RunStore(shelf.search, "w1"), *MINE, query="umbrella", limit=2)
    assert [(item.key, item.value["text"], item.score) for item in items] == [("d:0", "passage 0", 1.0), ("d:1", "passage 1", 0.9)]
    assert "score" not in items[0].value
    assert shelf.asked[0] == ("w1", "umbrella", 2)


def test_a_page_of_passages_can_be_asked_for(shelf: Shelf) -> None:
    items = found(RunStore(shelf.search, "w1"), *MINE, query="umbrella", limit=2, offset=1)
    assert [item.key for item in items] == ["d:1", "d:2"]


@pytest.mark.parametrize(
    "place",
    [("workspace", "w2", "documents"), ("workspace", "w1"), ("workspace",), ("workspace", "w1", "documents", "more"), ("other",)],
)
def test_another_place_is_empty_and_nobody_is_asked(shelf: Shelf, place: tuple[str, ...]) -> None:
    assert found(RunStore(shelf.search, "w1"), *place, query="umbrella") == []
    assert shelf.asked == []


@pytest.mark.parametrize("name", ["None", "w1"])
def test_a_run_without_a_workspace_finds_nothing(shelf: Shelf, name: str) -> None:
    store = RunStore(shelf.search, None)
    assert found(store, "workspace", name, "documents", query="umbrella") == []
    assert store.list_namespaces() == []
    assert shelf.asked == []


def test_the_only_place_there_is_is_the_workspaces_documents(shelf: Shelf) -> None:
    assert RunStore(shelf.search, "w1").list_namespaces() == [MINE]


@pytest.mark.parametrize("value", [{"text": "mine"}, None], ids=["write", "delete"])
def test_a_write_is_refused_plainly(shelf: Shelf, value: Any) -> None:
    with pytest.raises(NotImplementedError, match="write nothing"):
        RunStore(shelf.search, "w1").batch([PutOp(MINE, "1", value)])


def test_a_single_key_is_not_there(shelf: Shelf) -> None:
    assert RunStore(shelf.search, "w1").get(MINE, "d:0") is None
