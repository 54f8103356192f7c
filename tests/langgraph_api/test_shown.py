"""What a handler is shown of a request, and how what it changes comes back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from server.langgraph_api.shown import GRAPHS, matches, restored, shown

THREAD = {"thread_id": "0199a1fa-0000-7000-8000-000000000000"}


def change(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**value, **changes}


def test_a_handler_finds_what_the_client_has_left_out() -> None:
    assert shown("threads", "create", {}, {}) == {"metadata": {}, "if_exists": "raise"}
    assert shown("threads", "search", {"limit": 3, "metadata": None}, {}) == {
        "metadata": {},
        "values": {},
        "status": None,
        "limit": 3,
        "offset": 0,
    }


def test_the_path_wins_over_the_body() -> None:
    assert shown("threads", "update", {"thread_id": "mine"}, THREAD)["thread_id"] == THREAD["thread_id"]


def test_a_run_is_shown_with_its_assistants_id_and_what_is_to_be_carried_out_by_itself() -> None:
    value = shown("threads", "create_run", {"assistant_id": "agent", "input": {"a": 1}, "config": {}, "metadata": {"b": 2}}, THREAD)
    assert value["assistant_id"] == str(uuid.uuid5(GRAPHS, "agent"))
    assert value["kwargs"] == {"input": {"a": 1}, "config": {}}
    assert (value["metadata"], value["status"], value["thread_id"]) == ({"b": 2}, "pending", THREAD["thread_id"])


@pytest.mark.parametrize(
    ("action", "field"),
    [("put", "namespace"), ("delete", "namespace"), ("search", "namespace_prefix"), ("list_namespaces", "prefix")],
)
def test_a_namespace_is_shown_by_one_name_and_taken_back_by_the_clients(action: str, field: str) -> None:
    fields = {field: ["notes"], "key": "k"}
    value = shown("store", action, fields, {})
    assert value["namespace"] == ["notes"]
    assert restored("store", action, fields, {}, change(value, namespace=["ann", "notes"])) == {field: ["ann", "notes"], "key": "k"}


def test_a_namespace_in_a_query_is_a_list_too() -> None:
    fields = {"namespace": "a.b", "key": "k"}
    value = shown("store", "get", fields, {})
    assert value["namespace"] == ["a", "b"]
    assert restored("store", "get", fields, {}, value) == fields


def test_a_namespace_that_the_client_has_not_named_can_be_set() -> None:
    value = shown("store", "list_namespaces", {}, {})
    assert value["namespace"] is None
    assert restored("store", "list_namespaces", {}, {}, change(value, namespace=["ann"])) == {"prefix": ["ann"]}


CASES = [
    ("threads", "create", {"metadata": {"a": 1}}),
    ("threads", "create", {}),
    ("threads", "create_run", {"assistant_id": "agent", "input": None, "stream_mode": ["values"]}),
    ("threads", "search", {"ids": ["x"], "limit": None}),
    ("crons", "create", {"assistant_id": "agent", "schedule": "* * * * *", "input": {"a": 1}}),
    ("store", "search", {"namespace_prefix": ["a"], "query": "q"}),
    ("assistants", "create", {"graph_id": "agent"}),
]


@pytest.mark.parametrize(("resource", "action", "fields"), CASES)
def test_what_a_handler_does_not_touch_stays_as_the_client_sent_it(resource: str, action: str, fields: dict[str, Any]) -> None:
    assert restored(resource, action, fields, THREAD, shown(resource, action, fields, THREAD)) == fields


@pytest.mark.parametrize(("resource", "action", "fields"), CASES[:4])
def test_metadata_that_a_handler_adds_reaches_the_action(resource: str, action: str, fields: dict[str, Any]) -> None:
    value = shown(resource, action, fields, {})
    left = restored(resource, action, fields, {}, change(value, metadata={**value["metadata"], "owner": "ann"}))
    assert left["metadata"] == {**fields.get("metadata", {}), "owner": "ann"}
    assert {name: each for name, each in left.items() if name != "metadata"} == {k: v for k, v in fields.items() if k != "metadata"}


def test_what_is_to_be_carried_out_can_be_changed() -> None:
    fields = {"assistant_id": "agent", "input": {"a": 1}, "config": {"tags": []}}
    value = shown("threads", "create_run", fields, {})
    left = restored("threads", "create_run", fields, {}, change(value, kwargs={"input": {"a": 2}, "context": {"b": 1}}))
    assert left == {"assistant_id": "agent", "input": {"a": 2}, "context": {"b": 1}}


def test_a_field_that_a_handler_takes_away_is_gone() -> None:
    value = shown("threads", "search", {"status": "busy", "limit": 5}, {})
    del value["status"]
    assert restored("threads", "search", {"status": "busy", "limit": 5}, {}, value) == {"limit": 5}


def test_the_path_cannot_be_changed() -> None:
    value = shown("threads", "read", {}, THREAD)
    assert restored("threads", "read", {}, THREAD, change(value, thread_id="other")) == {}


@pytest.mark.parametrize(
    ("metadata", "must", "expected"),
    [
        ({"owner": "ann"}, None, True),
        ({"owner": "ann", "x": 1}, {"owner": "ann"}, True),
        ({"owner": "bob"}, {"owner": "ann"}, False),
        ({}, {"owner": "ann"}, False),
        (None, {"owner": "ann"}, False),
        ({"team": ["red", "blue"]}, {"team": ["red"]}, True),
        ({"team": ["red", "blue"]}, {"team": ["blue", "red"]}, True),
        ({"team": ["red"]}, {"team": ["red", "blue"]}, False),
        ({"team": "red"}, {"team": ["red"]}, False),
        ({"team": ["red"]}, {"team": "red"}, False),
        ({"owner": "ann", "team": ["red"]}, {"owner": "ann", "team": ["blue"]}, False),
        ({"n": 1}, {"n": True}, False),
        ({"n": None}, {"n": None}, True),
        ({}, {"n": None}, False),
    ],
)
def test_metadata_matches_when_it_contains_what_it_must(metadata: Any, must: Any, expected: bool) -> None:
    assert matches(metadata, must) is expected
