"""The threads' door, as clients of the LangGraph SDK use it; and whatever else they may send. No worker answers here."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from flask import Flask
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError

from server.agents.catalogue import Catalogue
from server.kit.clock import after, now
from server.kit.db import commit, db
from server.runs.threads import actions
from server.runs.threads.models import Thread, named
from server.settings import Settings
from tests.accounts.factories import Person, bearer, new_person

GRAPHS = Path(__file__).parents[1] / "graphs"
FIELDS = {
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "status",
    "config",
    "values",
    "interrupts",
    "error",
}


@pytest.fixture
def ada(app: Flask) -> Person:
    return new_person(app)


def sdk_of(app: Flask, person: Person) -> SyncLangGraphClient:
    """The SDK's client, unmodified, over the app itself."""
    transport = httpx.WSGITransport(app=app)
    return SyncLangGraphClient(httpx.Client(transport=transport, base_url="http://localhost", headers=bearer(person.access)))


@pytest.fixture
def sdk(app: Flask, ada: Person) -> Iterator[SyncLangGraphClient]:
    client = sdk_of(app, ada)
    yield client
    client.close()


def row(person: Person, name: str) -> Thread:
    db.session.rollback()
    found = named(uuid.UUID(person.user_id), name)
    assert found is not None
    return found


def left(person: Person, name: str, **values: Any) -> None:
    """What a run has left on a thread."""
    thread = row(person, name)
    for field, value in values.items():
        setattr(thread, field, value)
    commit()


# -- with the SDK ------------------------------------------------------------------------------------------------------


def test_a_thread_lives_from_its_creation_to_its_deletion(sdk: SyncLangGraphClient) -> None:
    created = sdk.threads.create(metadata={"k": 1}, graph_id="echo")
    assert set(created) == FIELDS
    assert (created["status"], created["values"], created["interrupts"]) == ("idle", None, {})
    assert created["metadata"] == {"k": 1, "graph_id": "echo"}
    assert created["created_at"] == created["updated_at"]
    known = created["thread_id"]
    assert sdk.threads.get(known) == created

    updated = sdk.threads.update(known, metadata={"z": 2})
    assert updated["metadata"] == {"k": 1, "graph_id": "echo", "z": 2}
    assert updated["updated_at"] > created["updated_at"]
    assert sdk.threads.update(known, metadata={"z": 3}, return_minimal=True) is None
    assert sdk.threads.get(known)["metadata"]["z"] == 3

    sdk.threads.delete(known)
    for verb in (sdk.threads.get, sdk.threads.delete, sdk.threads.get_state, sdk.threads.get_history, sdk.threads.copy):
        with pytest.raises(NotFoundError, match=f"Thread with ID {known} not found"):
            verb(known)


def test_a_thread_may_have_a_name_of_ones_own(sdk: SyncLangGraphClient) -> None:
    created = sdk.threads.create(thread_id="example-thread-123", metadata={"n": 1})
    assert created["thread_id"] == "example-thread-123"
    with pytest.raises(ConflictError, match="Thread with ID example-thread-123 already exists"):
        sdk.threads.create(thread_id="example-thread-123")
    assert sdk.threads.create(thread_id="example-thread-123", if_exists="do_nothing", metadata={"n": 2}) == created


def test_the_time_to_live_is_told_when_asked_for(sdk: SyncLangGraphClient) -> None:
    known = sdk.threads.create(ttl=5)["thread_id"]
    assert "ttl" not in sdk.threads.get(known)
    told: Any = sdk.threads.get(known, include=["ttl"])
    assert (told["ttl"]["strategy"], told["ttl"]["ttl_minutes"]) == ("delete", 5)
    assert told["ttl"]["expires_at"] > told["created_at"]
    sdk.threads.update(known, metadata={}, ttl={"ttl": 60, "strategy": "keep_latest"})
    assert sdk.threads.get(known, include=["ttl"])["ttl"]["strategy"] == "keep_latest"  # type: ignore[typeddict-item]
    endless = sdk.threads.create()["thread_id"]
    assert "ttl" not in sdk.threads.get(endless, include=["ttl"])


def test_questions_are_told_by_the_task_that_asks(sdk: SyncLangGraphClient, ada: Person) -> None:
    known = sdk.threads.create()["thread_id"]
    asked = [{"id": "q1", "value": 1, "task_id": "t1", "node": "n"}, {"id": "q2", "value": 2, "task_id": "t1", "node": "n"}]
    left(ada, known, status="interrupted", interrupts=asked, values={"a": 1}, state_updated_at=now())
    shown = sdk.threads.get(known)
    assert shown["interrupts"] == {"t1": [{"id": "q1", "value": 1}, {"id": "q2", "value": 2}]}
    assert (shown["status"], shown["values"]) == ("interrupted", {"a": 1})


def test_threads_are_searched_and_counted(sdk: SyncLangGraphClient, ada: Person) -> None:
    known = [sdk.threads.create(thread_id=f"t{n}", metadata={"n": n, "m": "x"})["thread_id"] for n in range(3)]
    left(ada, "t1", status="interrupted", values={"trail": ["a", "b"], "name": "one"})
    assert [each["thread_id"] for each in sdk.threads.search(metadata={"m": "x"}, sort_by="created_at")] == known[::-1]
    assert [each["thread_id"] for each in sdk.threads.search(sort_by="thread_id", sort_order="asc", limit=2, offset=1)] == known[1:]
    assert [each["thread_id"] for each in sdk.threads.search(status="interrupted", values={"name": "one"})] == ["t1"]
    assert [each["thread_id"] for each in sdk.threads.search(ids=["t0", "nobodys"])] == ["t0"]
    assert [sdk.threads.count(), sdk.threads.count(metadata={"n": 1}), sdk.threads.count(status="busy")] == [3, 1, 0]
    picked: Any = sdk.threads.search(ids=["t1"], select=["thread_id", "status"], extract={"last": "values.trail[-1]", "n": "metadata.n"})
    assert picked == [{"thread_id": "t1", "status": "interrupted", "extracted": {"last": "b", "n": 1}}]


def test_pages_say_how_many_there_are_and_where_the_next_begins(ada: Person) -> None:
    for _ in range(5):
        ada.post("/threads", json={})
    for offset, following in ((0, "2"), (2, "4"), (4, None)):
        answer = ada.post("/threads/search", json={"limit": 2, "offset": offset})
        assert (answer.headers["X-Pagination-Total"], answer.headers.get("X-Pagination-Next")) == ("5", following)
    assert ada.post("/threads/search", json={"limit": 2, "offset": 9}).json == []


def test_threads_are_pruned(sdk: SyncLangGraphClient) -> None:
    known = [sdk.threads.create()["thread_id"] for _ in range(3)]
    assert sdk.threads.prune([*known[:2], known[0], "nobodys"]) == {"pruned_count": 2}
    assert [each["thread_id"] for each in sdk.threads.search()] == known[2:]
    assert sdk.threads.prune([]) == {"pruned_count": 0}


def test_a_thread_that_nothing_has_worked_on_has_an_empty_state(sdk: SyncLangGraphClient) -> None:
    known = sdk.threads.create()["thread_id"]
    state: Any = sdk.threads.get_state(known, subgraphs=True)
    assert state["values"] == {}
    assert (state["next"], state["tasks"], state["interrupts"], state["checkpoint"]) == ([], [], [], None)
    assert sdk.threads.get_state(known, checkpoint_id="x") == state
    assert sdk.threads.get_state(known, checkpoint={"checkpoint_ns": ""}) == state  # type: ignore[typeddict-item]
    assert sdk.threads.get_history(known) == []


# -- besides ------------------------------------------------------------------------------------------------------------


def test_unknown_fields_are_passed_over(ada: Person) -> None:
    answer = ada.post("/threads", json={"thread_id": "t", "newest": {"field": 1}, "ttl": {"ttl": 1, "more": 2}})
    assert (answer.status_code, answer.json["thread_id"]) == (200, "t")


@pytest.fixture
def thinning(app: Flask, settings: Settings, tmp_path: Path) -> Iterator[None]:
    """A configuration that has threads thinned out after half an hour."""
    config = {"graphs": {"steps": f"{GRAPHS}/states.py:steps"}, "checkpointer": {"ttl": {"strategy": "keep_latest", "default_ttl": 30}}}
    (tmp_path / "langgraph.json").write_bytes(orjson.dumps(config))
    before = app.extensions["catalogue"]
    app.extensions["catalogue"] = Catalogue(dataclasses.replace(settings, agents_config=str(tmp_path / "langgraph.json")))
    yield
    app.extensions["catalogue"] = before


@pytest.mark.usefixtures("thinning")
def test_a_configured_time_to_live_is_given_to_threads_that_name_none(ada: Person) -> None:
    ada.post("/threads", json={"thread_id": "default"})
    ada.post("/threads", json={"thread_id": "own", "ttl": {"ttl": 1, "strategy": "delete"}})
    assert row(ada, "default").ttl == {"strategy": "keep_latest", "ttl": 30}
    assert row(ada, "own").ttl == {"strategy": "delete", "ttl": 1}


def test_temporary_threads_are_in_no_list(ada: Person) -> None:
    actions.temporary(uuid.UUID(ada.user_id), expires_at=after(60))
    commit()
    assert ada.post("/threads/search", json={}).json == []
    assert ada.post("/threads/count", json={}).json == 0
