"""What the threads' door refuses, and to whom. No worker answers here."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from server.kit.db import db
from server.runs.threads.models import Thread, named
from tests.accounts.factories import Person, new_person


@pytest.fixture
def ada(app: Flask) -> Person:
    return new_person(app)


@pytest.fixture
def ben(app: Flask) -> Person:
    return new_person(app)


def row(person: Person, name: str) -> Thread:
    db.session.rollback()
    found = named(uuid.UUID(person.user_id), name)
    assert found is not None
    return found


# -- others ------------------------------------------------------------------------------------------------------------

ROUTES = (
    ("GET", "", None),
    ("PATCH", "", {"metadata": {"a": 1}}),
    ("DELETE", "", None),
    ("POST", "/copy", None),
    ("GET", "/state", None),
    ("POST", "/state", {"values": {}}),
    ("GET", "/state/x", None),
    ("POST", "/state/checkpoint", {"checkpoint": {}}),
    ("GET", "/history", None),
    ("POST", "/history", {}),
)


@pytest.mark.parametrize(("method", "path", "sent"), ROUTES)
def test_somebody_elses_thread_is_not_there(ada: Person, ben: Person, method: str, path: str, sent: Any) -> None:
    ada.post("/threads", json={"thread_id": "hers", "metadata": {"graph_id": "echo"}})
    answer = ben.ask(method, f"/threads/hers{path}", **({} if sent is None else {"json": sent}))
    assert answer.status_code == 404
    assert answer.json == {
        "detail": "Thread with ID hers not found",
        "error": "thread_not_found",
        "message": "Thread with ID hers not found",
    }
    assert row(ada, "hers").about == {"graph_id": "echo"}


@pytest.mark.parametrize(("method", "path", "sent"), ROUTES)
def test_what_is_no_name_is_refused(ada: Person, method: str, path: str, sent: Any) -> None:
    answer = ada.ask(method, f"/threads/a%20b{path}", **({} if sent is None else {"json": sent}))
    assert (answer.status_code, answer.json["error"]) == (422, "invalid_thread_id")


@pytest.mark.parametrize(("method", "path", "sent"), [*ROUTES, ("POST", "/../threads", {}), ("POST", "/../threads/search", {})])
def test_nobody_gets_in_unseen(app: Flask, method: str, path: str, sent: Any) -> None:
    address = path.removeprefix("/..") if path.startswith("/..") else f"/threads/x{path}"
    assert app.test_client().open(address, method=method, json=sent).status_code == 401


def test_lists_hold_ones_own_threads_alone(ada: Person, ben: Person) -> None:
    ada.post("/threads", json={"thread_id": "same", "metadata": {"of": "ada"}})
    ben.post("/threads", json={"thread_id": "same", "metadata": {"of": "ben"}})
    found = ben.post("/threads/search", json={"ids": ["same"]}).json
    assert [each["metadata"] for each in found] == [{"of": "ben"}]
    assert ben.post("/threads/count", json={}).json == 1
    ben.post("/threads/prune", json={"thread_ids": ["same"]})
    assert row(ada, "same").about == {"of": "ada"}


# -- refusals ----------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, dict[str, Any], int]] = {
    "a name with a blank": ("", {"thread_id": "a b"}, 422),
    "a name that is too long": ("", {"thread_id": "a" * 129}, 422),
    "an empty name": ("", {"thread_id": ""}, 422),
    "another way to treat a double": ("", {"if_exists": "replace"}, 422),
    "metadata that are a list": ("", {"metadata": [1]}, 422),
    "a ttl that is a number": ("", {"ttl": 5}, 422),
    "a ttl that is over": ("", {"ttl": {"ttl": 0}}, 422),
    "a ttl that never ends": ("", {"ttl": {"ttl": 1e18}}, 422),
    "a ttl that is no number": ("", {"ttl": {"ttl": "NaN"}}, 422),
    "another strategy": ("", {"ttl": {"ttl": 1, "strategy": "hide"}}, 422),
    "supersteps without updates": ("", {"supersteps": [{"updates": []}]}, 422),
    "an update without a node": ("", {"supersteps": [{"updates": [{"values": {}}]}]}, 422),
    "a state of no graph": ("", {"supersteps": [{"updates": [{"values": {}, "as_node": "a"}]}]}, 400),
    "another order": ("/search", {"sort_by": "owner_id"}, 422),
    "another direction": ("/search", {"sort_order": "DESC"}, 422),
    "another status": ("/search", {"status": "failed"}, 422),
    "no page": ("/search", {"limit": 0}, 422),
    "too large a page": ("/search", {"limit": 1001}, 422),
    "a limit in words": ("/search", {"limit": "2"}, 422),
    "a page before the first": ("/search", {"offset": -1}, 422),
    "an unknown field": ("/search", {"select": ["owner_id"]}, 422),
    "a path into another field": ("/search", {"extract": {"a": "owner_id"}}, 422),
    "a name of a value that is none": ("/search", {"extract": {"a b": "values.x"}}, 422),
    "too many paths": ("/search", {"extract": {f"k{n}": "values" for n in range(11)}}, 422),
    "a path that is a number": ("/search", {"extract": {"a": 5}}, 422),
    "no metadata": ("/search", {"metadata": None}, 422),
    "a status to be counted that is none": ("/count", {"status": "failed"}, 422),
    "nothing to prune": ("/prune", {}, 422),
    "a thread to prune that is no name": ("/prune", {"thread_ids": ["a b"]}, 422),
    "another way to prune": ("/prune", {"thread_ids": [], "strategy": "hide"}, 422),
    "values that are a text": ("/t/state", {"values": "x"}, 422),
    "an update without a graph": ("/t/state", {"values": {}}, 400),
    "a checkpoint that is a text": ("/t/state", {"checkpoint": "x"}, 422),
    "a state of no checkpoint": ("/t/state/checkpoint", {}, 422),
    "no history": ("/t/history", {"limit": 0}, 422),
    "too much history": ("/t/history", {"limit": 1001}, 422),
    "history before nothing": ("/t/history", {"before": {"checkpoint_ns": ""}}, 422),
    "history before a number": ("/t/history", {"before": 7}, 422),
    "a part of the state that is none": ("/t/history", {"select": 7, "limit": "x"}, 422),
}


@pytest.mark.parametrize(("path", "sent", "status"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_in_words(ada: Person, path: str, sent: dict[str, Any], status: int) -> None:
    ada.post("/threads", json={"thread_id": "t"})
    answer = ada.post(f"/threads{path}", json=sent)
    assert answer.status_code == status, answer.text
    assert answer.json["detail"] == answer.json["message"] != ""
    assert [each["thread_id"] for each in ada.post("/threads/search", json={}).json] == ["t"]


def test_a_graph_that_is_gone_is_named(ada: Person) -> None:
    ada.post("/threads", json={"thread_id": "t", "metadata": {"graph_id": "gone"}})
    for answer in (ada.get("/threads/t/state"), ada.get("/threads/t/history"), ada.post("/threads/t/state", json={"values": {}})):
        assert (answer.status_code, answer.json["error"]) == (404, "graph_not_found")
        assert answer.json["detail"].startswith("Graph 'gone' not found. Expected one of: ['assistant', 'documents', 'echo']")
