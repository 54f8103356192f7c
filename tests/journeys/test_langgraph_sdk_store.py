"""The store as both clients of Python's SDK speak of it: every method, unmodified."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.journeys.sdk import CLIENTS, Sdk, refused, spoken
from tests.stack import Stack
from tests.talk import Person


@pytest.fixture(params=CLIENTS)
def sdk(request: pytest.FixtureRequest, ada: Person) -> Iterator[Sdk]:
    with spoken(request.param, ada) as client:
        yield client


@pytest.fixture
def home() -> list[str]:
    return ["tests", uuid.uuid4().hex]


def test_an_item_is_kept_found_and_forgotten(sdk: Sdk, home: list[str]) -> None:
    sdk.store.put_item(home, "food", {"likes": "pizza", "stars": 5}, index=False, ttl=60)
    item = sdk.store.get_item(home, key="food", refresh_ttl=False)
    assert (item["namespace"], item["key"], item["value"]) == (home, "food", {"likes": "pizza", "stars": 5})
    assert item["ttl"] == 60
    sdk.store.delete_item(home, key="food")
    assert sdk.store.get_item(home, key="food") is None


def test_items_are_searched_and_namespaces_listed(sdk: Sdk, home: list[str]) -> None:
    for number in range(3):
        sdk.store.put_item([*home, f"part{number}"], "k", {"number": number})
    found = sdk.store.search_items(home, filter={"number": {"$gte": 1}}, limit=5, offset=0, query="anything", refresh_ttl=True)["items"]
    assert [item["value"]["number"] for item in found] == [1, 2]
    assert len(sdk.store.list_namespaces(prefix=home)["namespaces"]) == 3
    assert sdk.store.list_namespaces(prefix=home, suffix=["part1"], max_depth=3, limit=5, offset=0)["namespaces"] == [[*home, "part1"]]
    assert sdk.store.list_namespaces(prefix=home, max_depth=2)["namespaces"] == [home]


def test_what_cannot_be_kept_is_refused(sdk: Sdk) -> None:
    assert "langgraph" in refused(400, lambda: sdk.store.put_item(["langgraph"], "k", {}))


def test_two_people_with_one_namespace_never_meet(agents: Stack, sdk: Sdk, home: list[str]) -> None:
    sdk.store.put_item(home, "k", {"mine": True})
    with spoken("sync", Person(agents.base_url)) as ben:
        assert ben.store.get_item(home, key="k") is None
        assert ben.store.search_items(home)["items"] == []
