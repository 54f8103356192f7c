"""Assistants as both clients of Python's SDK speak of them: every method, unmodified."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from server.agents.assistants import system_id
from tests.journeys.sdk import CLIENTS, NOUNS, Sdk, refused, spoken, untold
from tests.stack import Stack
from tests.talk import Person


@pytest.fixture(params=CLIENTS)
def sdk(request: pytest.FixtureRequest, ada: Person) -> Iterator[Sdk]:
    with spoken(request.param, ada) as client:
        yield client


@pytest.mark.parametrize("noun", NOUNS)
def test_every_method_of_the_sdk_has_a_story(noun: str) -> None:
    assert untold(noun) == set()


def test_an_assistant_is_made_changed_and_deleted(sdk: Sdk) -> None:
    wanted = str(uuid.uuid4())
    made = sdk.assistants.create(
        "slow", {"tags": ["t"]}, context={"tone": "kind"}, metadata={"by": wanted}, assistant_id=wanted, name="Kind"
    )
    assert (made["assistant_id"], made["version"], made["config"]["configurable"]) == (wanted, 1, {"tone": "kind"})
    assert sdk.assistants.get(wanted) == made
    assert sdk.assistants.create("slow", assistant_id=wanted, if_exists="do_nothing") == made
    refused(409, lambda: sdk.assistants.create("slow", assistant_id=wanted))
    changed = sdk.assistants.update(wanted, metadata={"more": 1}, name="Kinder", description="Says so")
    assert (changed["version"], changed["metadata"], changed["description"]) == (2, {"by": wanted, "more": 1}, "Says so")
    assert [each["version"] for each in sdk.assistants.get_versions(wanted, limit=5)] == [2, 1]
    assert sdk.assistants.set_latest(wanted, 1)["name"] == "Kind"
    sdk.assistants.delete(wanted, delete_threads=True)
    refused(404, lambda: sdk.assistants.get(wanted))


def test_assistants_are_searched_and_counted(sdk: Sdk) -> None:
    mark = {"mark": uuid.uuid4().hex}
    for number in range(3):
        sdk.assistants.create("slow", metadata=mark, name=f"Number {number}")
    assert sdk.assistants.count(metadata=mark, graph_id="slow", name="number") == 3
    page = sdk.assistants.search(metadata=mark, limit=2, sort_by="name", sort_order="asc", response_format="object")
    assert ([each["name"] for each in page["assistants"]], page["next"]) == (["Number 0", "Number 1"], "2")
    rest = sdk.assistants.search(metadata=mark, offset=2, sort_by="name", sort_order="asc", select=["name", "graph_id"])
    assert rest == [{"name": "Number 2", "graph_id": "slow"}]


def test_the_graph_of_an_assistant_is_drawn_and_described(sdk: Sdk) -> None:
    known = str(system_id("slow"))
    assert [node["id"] for node in sdk.assistants.get_graph(known, xray=True)["nodes"]] == ["__start__", "answer", "__end__"]
    assert "messages" in sdk.assistants.get_schemas(known)["input_schema"]["properties"]
    assert sdk.assistants.get_subgraphs(known, recurse=True) == {}


def test_what_is_somebody_elses_is_not_there(agents: Stack, sdk: Sdk) -> None:
    made = sdk.assistants.create("slow")["assistant_id"]
    with spoken("sync", Person(agents.base_url)) as ben:
        refused(404, lambda: ben.assistants.get(made))
        refused(404, lambda: ben.assistants.update(made, name="Mine"))
        refused(404, lambda: ben.assistants.delete(made))
