"""The assistants' door, as clients of the LangGraph SDK use it; and whatever else they may send."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, PermissionDeniedError, UnprocessableEntityError

from server.agents import catalogue
from server.agents.assistants import system_id
from server.kit.db import db
from server.runs.threads import actions as threads
from server.runs.threads.models import named
from tests.accounts.factories import Person, bearer, new_person

ECHO = str(system_id("echo"))
NOBODYS = "0199d1a5-0000-7000-8000-000000000000"
FIELDS = {"assistant_id", "graph_id", "config", "context", "metadata", "name", "created_at", "updated_at", "version", "description"}


@pytest.fixture
def ada(app: Flask) -> Person:
    return new_person(app)


@pytest.fixture
def ben(app: Flask) -> Person:
    return new_person(app)


@pytest.fixture
def sdk(app: Flask, ada: Person) -> Iterator[SyncLangGraphClient]:
    """The SDK's client, unmodified, over the app itself."""
    transport = httpx.WSGITransport(app=app)
    with httpx.Client(transport=transport, base_url="http://localhost", headers=bearer(ada.access)) as http:
        yield SyncLangGraphClient(http)


def made(person: Person, **fields: Any) -> dict[str, Any]:
    answer = person.post("/assistants", json={"graph_id": "echo", **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


# -- with the SDK ------------------------------------------------------------------------------------------------------


def test_an_assistant_lives_from_its_creation_to_its_deletion(sdk: SyncLangGraphClient) -> None:
    created = sdk.assistants.create("echo", context={"tone": "dry"}, metadata={"k": 1}, name="Mine", description="D")
    assert set(created) == FIELDS
    assert (created["graph_id"], created["name"], created["description"], created["version"]) == ("echo", "Mine", "D", 1)
    assert (created["config"], created["context"]) == ({"configurable": {"tone": "dry"}}, {"tone": "dry"})
    assert created["metadata"] == {"k": 1}
    known = created["assistant_id"]
    assert sdk.assistants.get(known) == created

    updated = sdk.assistants.update(known, metadata={"z": 2}, name="Other")
    assert (updated["version"], updated["metadata"], updated["name"]) == (2, {"k": 1, "z": 2}, "Other")
    assert [each["version"] for each in sdk.assistants.get_versions(known)] == [2, 1]
    assert sdk.assistants.get_versions(known, metadata={"z": 2}, limit=1)[0]["name"] == "Other"
    assert sdk.assistants.set_latest(known, 1)["name"] == "Mine"

    sdk.assistants.delete(known)
    with pytest.raises(NotFoundError):
        sdk.assistants.get(known)


def test_a_search_tells_where_the_next_page_begins(sdk: SyncLangGraphClient) -> None:
    for number in range(3):
        sdk.assistants.create("echo", name=f"N{number}", metadata={"mine": True})
    found = sdk.assistants.search(metadata={"mine": True}, limit=2, sort_by="name", sort_order="asc", response_format="object")
    assert ([each["name"] for each in found["assistants"]], found["next"]) == (["N0", "N1"], "2")
    rest = sdk.assistants.search(metadata={"mine": True}, limit=2, offset=2, select=["name"], response_format="object")
    assert rest == {"assistants": [{"name": "N0"}], "next": None}
    assert sdk.assistants.count(metadata={"mine": True}) == 3
    assert sdk.assistants.count(graph_id="echo", name="n1") == 1
    assert sdk.assistants.search(graph_id="echo", name="echo")[0]["metadata"] == {"created_by": "system"}


def test_a_second_creation_is_refused_or_does_nothing(sdk: SyncLangGraphClient) -> None:
    created = sdk.assistants.create("echo", name="First", assistant_id=NOBODYS)
    assert created["assistant_id"] == NOBODYS
    with pytest.raises(ConflictError):
        sdk.assistants.create("echo", assistant_id=NOBODYS)
    assert sdk.assistants.create("echo", assistant_id=NOBODYS, if_exists="do_nothing", name="Second") == created


def test_the_systems_own_is_read_and_not_written(sdk: SyncLangGraphClient) -> None:
    assert sdk.assistants.get(ECHO)["name"] == "echo"
    assert [each["version"] for each in sdk.assistants.get_versions(ECHO)] == [1]
    refused = (
        lambda: sdk.assistants.update(ECHO, name="Mine"),
        lambda: sdk.assistants.set_latest(ECHO, 1),
        lambda: sdk.assistants.delete(ECHO, delete_threads=True),
    )
    for verb in refused:
        with pytest.raises(PermissionDeniedError, match="belongs to everybody"):
            verb()


@pytest.mark.parametrize("assistant_id", ["nope", "7"])
def test_the_sdk_hears_of_a_wrong_id(sdk: SyncLangGraphClient, assistant_id: str) -> None:
    for verb in (sdk.assistants.get, sdk.assistants.delete, sdk.assistants.get_schemas, sdk.assistants.get_graph):
        with pytest.raises(UnprocessableEntityError):
            verb(assistant_id)


# -- on the wire -------------------------------------------------------------------------------------------------------


def test_the_total_is_exact_and_the_last_page_has_no_next(ada: Person) -> None:
    total = len(catalogue.listed()) + 1
    made(ada)
    for body, next_page in (({"limit": 1}, "1"), ({"limit": total}, None), ({"offset": 1, "limit": 2}, "3"), ({"offset": 99}, None)):
        headers = ada.post("/assistants/search", json=body).headers
        assert (headers["X-Pagination-Total"], headers.get("X-Pagination-Next")) == (str(total), next_page), body


def test_unknown_fields_are_passed_over_and_an_empty_select_is_everything(ada: Person) -> None:
    assert set(made(ada, bogus=1)) == FIELDS
    assert set(ada.post("/assistants/search", json={"select": [], "bogus": 1}).json[0]) == FIELDS


def test_an_empty_name_is_no_name(ada: Person) -> None:
    assert made(ada, name="")["name"] == made(ada)["name"] == "Untitled"


def test_a_configuration_keeps_the_keys_that_are_not_known(ada: Person) -> None:
    assert made(ada, config={"foo": 1, "recursion_limit": 7})["config"] == {"foo": 1, "recursion_limit": 7}


@pytest.mark.parametrize("written", [str.upper, lambda text: text.replace("-", "")])
def test_an_id_may_be_written_in_any_way_a_uuid_is(ada: Person, written: Any) -> None:
    known = made(ada)["assistant_id"]
    assert ada.get(f"/assistants/{written(known)}").json["assistant_id"] == known


BOTH = {"config": {"configurable": {"a": 1}}, "context": {"b": 2}}
# What a field may not be, in a body that creates or changes.
WRONG = (
    {"graph_id": 7},
    {"graph_id": None},
    {"name": 7},
    {"name": None},
    {"description": ["x"]},
    {"metadata": [1]},
    {"metadata": "x"},
    {"metadata": None},
    {"context": "x"},
    {"config": "x"},
    {"config": {"tags": "x"}},
    {"config": {"tags": [7]}},
    {"config": {"recursion_limit": "x"}},
    {"config": {"configurable": "x"}},
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_field_of_the_wrong_kind_is_refused(ada: Person, wrong: dict[str, Any]) -> None:
    known = made(ada)["assistant_id"]
    created, changed = ada.post("/assistants", json={"graph_id": "echo", **wrong}), ada.ask("PATCH", f"/assistants/{known}", json=wrong)
    assert (created.status_code, changed.status_code) == (422, 422)
    assert set(created.json) >= {"detail", "error", "message"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"graph_id": "nope"}, 404),
        ({"graph_id": ""}, 404),
        ({"graph_id": "echo", "assistant_id": "abc"}, 422),
        ({"graph_id": "echo", "assistant_id": ""}, 422),
        ({"graph_id": "echo", "assistant_id": None}, 422),
        ({"graph_id": "echo", "assistant_id": ECHO}, 409),
        ({"graph_id": "echo", "if_exists": "maybe"}, 422),
        ({"graph_id": "echo", "name": "a\x00b"}, 422),
        ({"graph_id": "echo", **BOTH}, 400),
    ],
)
def test_what_cannot_be_made_is_refused(ada: Person, body: dict[str, Any], status: int) -> None:
    answer = ada.post("/assistants", json=body)
    assert answer.status_code == status
    assert answer.json["detail"] == answer.json["message"] != ""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *[("search", {"limit": limit}) for limit in (0, -1, 1001, "2", 2.5, True, None, 2**63 - 1)],
        *[("search", {"offset": offset}) for offset in (-1, "0", 2**63 - 1)],
        ("search", {"sort_by": "version"}),
        ("search", {"sort_order": "ASC"}),
        ("search", {"select": ["nope"]}),
        ("search", {"select": "name"}),
        ("search", {"metadata": "x"}),
        ("search", {"graph_id": 7}),
        ("count", {"name": 7}),
        ("count", {"metadata": [1]}),
        (f"{ECHO}/versions", {"limit": 0}),
        (f"{ECHO}/versions", {"offset": -1}),
        (f"{ECHO}/versions", {"metadata": "x"}),
        (f"{ECHO}/latest", {}),
        (f"{ECHO}/latest", {"version": "x"}),
        (f"{ECHO}/latest", {"version": 0}),
        (f"{ECHO}/latest", {"version": 2**63 - 1}),
    ],
)
def test_a_question_of_the_wrong_kind_is_refused(ada: Person, path: str, body: dict[str, Any]) -> None:
    assert ada.post(f"/assistants/{path}", json=body).status_code == 422


@pytest.mark.parametrize("path", ["search", "count"])
def test_a_graph_that_there_is_not_is_not_searched(ada: Person, path: str) -> None:
    answer = ada.post(f"/assistants/{path}", json={"graph_id": "nope"})
    assert (answer.status_code, answer.json["error"]) == (404, "not_found")
    assert answer.json["detail"].startswith("Graph 'nope' not found. Expected one of: ['assistant'")


ROUTES = (
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/versions"),
    ("POST", "/latest"),
    ("GET", "/graph"),
    ("GET", "/schemas"),
    ("GET", "/subgraphs"),
    ("GET", "/subgraphs/child"),
)


@pytest.mark.parametrize(("method", "rest"), ROUTES)
def test_no_route_knows_somebody_elses_or_what_is_no_id(ada: Person, ben: Person, method: str, rest: str) -> None:
    theirs = made(ben)["assistant_id"]
    body: dict[str, Any] = {"json": {"version": 1}} if method in ("POST", "PATCH") else {}
    for known, status in ((theirs, 404), (NOBODYS, 404), ("nope", 422), ("echo ", 422)):
        assert ada.ask(method, f"/assistants/{known}{rest}", **body).status_code == status, known
    assert ben.get(f"/assistants/{theirs}").json["version"] == 1


@pytest.mark.parametrize(("method", "rest"), ROUTES)
def test_no_route_answers_whoever_does_not_say_who_they_are(app: Flask, ada: Person, method: str, rest: str) -> None:
    assert app.test_client().open(f"/assistants/{ECHO}{rest}", method=method).status_code == 401


def test_somebody_elses_are_in_no_search_and_no_count(ada: Person, ben: Person) -> None:
    made(ben, name="Theirs")
    assert "Theirs" not in {each["name"] for each in ada.post("/assistants/search", json={"limit": 1000}).json}
    assert ada.post("/assistants/count", json={"name": "Theirs"}).json == 0


def test_an_id_that_somebody_else_has_taken_is_not_shown_to_whoever_asks_for_it(ada: Person, ben: Person) -> None:
    theirs = made(ben, name="Theirs")["assistant_id"]
    answer = ada.post("/assistants", json={"graph_id": "echo", "assistant_id": theirs, "if_exists": "do_nothing"})
    assert (answer.status_code, "Theirs" in answer.text) == (409, False)


@pytest.mark.parametrize("xray", ["0", "-1", "banana", "101", "1.5", "9" * 5000, "٣٣٣٣"])
def test_an_xray_that_is_no_number_of_levels_is_refused(ada: Person, xray: str) -> None:
    answer = ada.get(f"/assistants/{ECHO}/graph?xray={xray}")
    assert (answer.status_code, answer.json["detail"]) == (422, "Invalid xray value")


@pytest.mark.parametrize("path", [f"{ECHO}/subgraphs?recurse=banana", f"{ECHO}/subgraphs/child?recurse=2x"])
def test_a_misspelt_yes_or_no_is_refused(ada: Person, path: str) -> None:
    assert ada.get(f"/assistants/{path}").status_code == 422


def test_a_misspelt_wish_to_delete_threads_deletes_nothing(ada: Person) -> None:
    known = made(ada)["assistant_id"]
    assert ada.delete(f"/assistants/{known}?delete_threads=banana").status_code == 422
    assert ada.get(f"/assistants/{known}").status_code == 200


def test_threads_go_with_the_assistant_that_worked_on_them_if_one_says_so(ada: Person, sdk: SyncLangGraphClient) -> None:
    kept, gone = made(ada)["assistant_id"], made(ada)["assistant_id"]
    owner_id = uuid.UUID(ada.user_id)
    for assistant_id in (kept, gone):
        threads.create(owner_id, f"of-{assistant_id}", about={"assistant_id": assistant_id})
    sdk.assistants.delete(kept)
    sdk.assistants.delete(gone, delete_threads=True)
    db.session.rollback()
    assert (named(owner_id, f"of-{kept}") is None, named(owner_id, f"of-{gone}") is None) == (False, True)


def test_nobody_deletes_threads_by_an_assistant_that_is_not_theirs(ada: Person, ben: Person) -> None:
    theirs = made(ben)["assistant_id"]
    owner_id = uuid.UUID(ada.user_id)
    threads.create(owner_id, "mine", about={"assistant_id": theirs})
    assert ada.delete(f"/assistants/{theirs}?delete_threads=true").status_code == 404
    db.session.rollback()
    assert named(owner_id, "mine") is not None


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_other_methods_are_not_there(ada: Person, method: str) -> None:
    assert ada.ask(method, "/assistants").status_code == 405


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"7", b'"x"'])
@pytest.mark.parametrize("path", ["/assistants", "/assistants/search", "/assistants/count", f"/assistants/{ECHO}/versions"])
def test_a_body_that_is_no_json_object_is_refused(ada: Person, path: str, data: bytes) -> None:
    answer = ada.post(path, data=data, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert set(answer.json) >= {"detail", "error", "message"}
