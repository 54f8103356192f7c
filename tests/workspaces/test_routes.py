"""The workspaces' door: every row of its contract, refusals first."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from server.accounts.models import User
from server.agents import catalogue
from server.kit.db import db
from server.workspaces.models import Member, Workspace, WorkspaceAgent
from tests.accounts.factories import PASSWORD, Person, ask, new_person

Notices = Callable[[], list[Any]]

NOT_FOUND = (404, {"msg": "Workspace not found"})
NO_ACCESS = (403, {"msg": "User does not have access to the workspace"})
NOT_OWNER = (403, {"msg": "User is not the owner of the workspace"})

# Method, path after the workspace's, body, and what a member who is not the owner and a stranger get.
ROWS: list[tuple[str, str, dict[str, str] | None, object, object]] = [
    ("GET", "", None, 200, NO_ACCESS),
    ("GET", "/members", None, 200, NO_ACCESS),
    ("DELETE", "", None, NO_ACCESS, NO_ACCESS),
    ("PUT", "/rename", {"name": "Other"}, NOT_OWNER, NOT_OWNER),
    ("POST", "/agent", {"agent_id": "echo"}, NOT_OWNER, NOT_OWNER),
    ("DELETE", "/agent", {"agent_id": "echo"}, NOT_OWNER, NOT_OWNER),
    ("PUT", "/coordinator", {"agent_id": "echo"}, NOT_OWNER, NOT_OWNER),
    ("POST", "/members", {"email": "ben@example.com", "role": "editor"}, NOT_OWNER, NOT_OWNER),
    ("DELETE", "/members/0199d1a5-0000-7000-8000-000000000000", None, NOT_OWNER, NO_ACCESS),
]
# Those of them that need a body, and what is said when a field of it is missing.
MISSING = {
    "/rename": "Missing name parameter",
    "/agent": "Missing agent_id parameter",
    "/coordinator": "Missing agent_id parameter",
    "/members": "Missing email/role parameter",
}
BODIES = [(method, path, body, MISSING[path]) for method, path, body, _, _ in ROWS if body]

NO_IDS = ["nonsense", "0199d1a5-0000-7000-8000-000000000000", "%00", "1", "x" * 300, "'", "0199d1a50000700080000000000000000"]


def outcome(person: Person, method: str, path: str, **options: Any) -> tuple[int, Any]:
    answer = person.ask(method, path, **options)
    return answer.status_code, answer.json


def shown(person: Person, workspace_id: str) -> dict[str, Any]:
    workspace: dict[str, Any] = person.get(f"/workspace/{workspace_id}").json["workspace"]
    return workspace


def share(owner: Person, workspace_id: str, person: Person, role: str) -> None:
    added = owner.post(f"/workspace/{workspace_id}/members", json={"email": person.email, "role": role})
    assert added.status_code == 200, added.text


@pytest.fixture
def agent_ids(app: Flask) -> list[str]:
    """Two agents of this server."""
    with app.app_context():
        return [agent.agent_id for agent in catalogue.listed()][:2]


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body", "of_member", "of_stranger"), ROWS)
def test_nobody_comes_in_without_credentials(
    app: Flask, workspace_id: str, method: str, path: str, body: Any, of_member: object, of_stranger: object
) -> None:
    answer = ask(app, method, f"/workspace/{workspace_id}{path}", json=body)

    assert answer.status_code == 401
    assert set(answer.json) == {"msg"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_makes_or_lists_workspaces_without_credentials(app: Flask, method: str) -> None:
    assert ask(app, method, "/workspace").status_code == 401


@pytest.mark.parametrize(("method", "path", "body", "of_member", "of_stranger"), ROWS)
def test_a_workspace_that_is_not_there_is_not_found(
    anna: Person, method: str, path: str, body: Any, of_member: object, of_stranger: object
) -> None:
    for no_id in NO_IDS:
        assert outcome(anna, method, f"/workspace/{no_id}{path}", json=body) == NOT_FOUND, no_id


@pytest.mark.parametrize(("method", "path", "body", "of_member", "of_stranger"), ROWS)
def test_a_stranger_gets_the_refusal_of_the_table(
    ben: Person, workspace_id: str, method: str, path: str, body: Any, of_member: object, of_stranger: object
) -> None:
    assert outcome(ben, method, f"/workspace/{workspace_id}{path}", json=body) == of_stranger


@pytest.mark.parametrize("role", ["viewer", "editor"])
@pytest.mark.parametrize(("method", "path", "body", "of_member", "of_stranger"), ROWS)
def test_a_member_reads_and_leaves_the_rest_to_the_owner(
    anna: Person, ben: Person, workspace_id: str, role: str, method: str, path: str, body: Any, of_member: object, of_stranger: object
) -> None:
    share(anna, workspace_id, ben, role)

    got = outcome(ben, method, f"/workspace/{workspace_id}{path}", json=body)

    assert got == of_member or got[0] == of_member


@pytest.mark.parametrize(("method", "path", "body", "missing"), BODIES)
def test_a_request_without_json_is_told_so(
    anna: Person, workspace_id: str, method: str, path: str, body: dict[str, str], missing: str
) -> None:
    for options in ({}, {"data": "name=a"}, {"data": "{broken", "content_type": "application/json"}):
        assert outcome(anna, method, f"/workspace/{workspace_id}{path}", **options) == (400, {"msg": "Missing JSON in request"})


@pytest.mark.parametrize(("method", "path", "body", "missing"), BODIES)
def test_a_missing_field_is_named_as_the_contract_does(
    anna: Person, workspace_id: str, method: str, path: str, body: dict[str, str], missing: str
) -> None:
    for name in body:
        for wrong in ({key: value for key, value in body.items() if key != name}, {**body, name: ""}, {**body, name: None}):
            assert outcome(anna, method, f"/workspace/{workspace_id}{path}", json=wrong) == (400, {"msg": missing})


@pytest.mark.parametrize(("method", "path", "body", "missing"), BODIES)
def test_a_field_of_the_wrong_type_is_a_422_that_names_it(
    anna: Person, workspace_id: str, method: str, path: str, body: dict[str, str], missing: str
) -> None:
    for name in body:
        for value in (5, True, ["a"], {"a": 1}, "x" * 300):
            status, answer = outcome(anna, method, f"/workspace/{workspace_id}{path}", json={**body, name: value})

            assert status == 422, (name, value)
            assert name in answer["errors"]


@pytest.mark.parametrize("name", [5, None, "", "   ", "x" * 201, ["a"], "a\x00b", "a\nb"])
def test_a_workspace_with_a_bad_name_is_not_made_or_renamed(anna: Person, workspace_id: str, name: object) -> None:
    status, answer = outcome(anna, "POST", "/workspace", json={"name": name})
    renamed, _ = outcome(anna, "PUT", f"/workspace/{workspace_id}/rename", json={"name": name})

    assert status == 422
    assert "errors" in answer
    assert renamed in (400, 422)
    assert [each["name"] for each in anna.get("/workspace").json["workspaces"]] == ["Research"]


@pytest.mark.parametrize("role", ["owner", "admin", "Viewer", " viewer"])
def test_a_role_that_is_not_given_is_a_422(anna: Person, ben: Person, workspace_id: str, role: str) -> None:
    status, answer = outcome(anna, "POST", f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": role})

    assert status == 422
    assert list(answer["errors"]) == ["role"]


# -- a workspace -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"other": 1}}])
def test_a_workspace_without_a_name_is_untitled(anna: Person, options: dict[str, Any]) -> None:
    answer = anna.post("/workspace", **options)

    assert answer.status_code == 200
    assert answer.json["msg"] == "Workspace created"
    workspace = answer.json["workspace"]
    assert (workspace["name"], workspace["owner"]) == ("Untitled Workspace", anna.user_id)


def test_a_workspace_shows_all_that_clients_know_of_it(anna: Person) -> None:
    made = anna.post("/workspace", json={"name": "  My New Workspace "}).json["workspace"]

    assert made == shown(anna, made["workspace_id"])
    assert made["created_at"].endswith("Z")
    assert {key: made[key] for key in made if key != "created_at"} == {
        "workspace_id": made["workspace_id"],
        "id": made["workspace_id"],
        "name": "My New Workspace",
        "owner": anna.user_id,
        "role": "owner",
        "agents": [],
        "coordinator_agent": None,
        "last_chat_id": None,
    }


def test_the_ids_of_workspaces_may_be_written_in_capitals(anna: Person, workspace_id: str) -> None:
    assert shown(anna, workspace_id.upper())["workspace_id"] == workspace_id


def test_a_list_has_ones_own_workspaces_then_the_shared_ones(anna: Person, ben: Person, workspace_id: str) -> None:
    theirs = [ben.post("/workspace", json={"name": name}).json["workspace"] for name in ("one", "two")]
    share(anna, workspace_id, ben, "viewer")
    anna.post("/workspace")

    listed = ben.get("/workspace").json["workspaces"]

    assert listed[:2] == theirs
    assert [(each["workspace_id"], each["role"], each["owner"]) for each in listed[2:]] == [(workspace_id, "viewer", anna.user_id)]


def test_a_user_without_workspaces_has_an_empty_list(ben: Person, workspace_id: str) -> None:
    assert outcome(ben, "GET", "/workspace") == (200, {"workspaces": []})


def test_a_workspace_is_renamed(anna: Person, workspace_id: str) -> None:
    assert outcome(anna, "PUT", f"/workspace/{workspace_id}/rename", json={"name": " Ω " + "x" * 198}) == (
        200,
        {"msg": "Workspace renamed"},
    )
    assert shown(anna, workspace_id)["name"] == "Ω " + "x" * 198


def test_a_deleted_workspace_is_gone_with_its_members_and_agents(
    anna: Person, ben: Person, workspace_id: str, agent_ids: list[str], notices: Notices
) -> None:
    share(anna, workspace_id, ben, "viewer")
    anna.post(f"/workspace/{workspace_id}/agent", json={"agent_id": agent_ids[0]})

    assert outcome(anna, "DELETE", f"/workspace/{workspace_id}") == (200, {"msg": "Workspace deleted"})

    assert outcome(anna, "GET", f"/workspace/{workspace_id}") == NOT_FOUND
    assert outcome(anna, "DELETE", f"/workspace/{workspace_id}") == NOT_FOUND
    assert ben.get("/workspace").json == {"workspaces": []}
    assert db.session.query(Member).count() == db.session.query(WorkspaceAgent).count() == 0
    shared = ["workspaces.member_changed", {"workspace_id": workspace_id, "user_id": ben.user_id}]
    assert notices() == [shared, ["workspaces.deleted", {"workspace_id": workspace_id}]]


def test_a_deleted_user_takes_their_workspaces_along(anna: Person, ben: Person, workspace_id: str, notices: Notices) -> None:
    share(anna, workspace_id, ben, "viewer")

    anna.delete("/user", json={"password": PASSWORD})

    assert outcome(ben, "GET", f"/workspace/{workspace_id}") == NOT_FOUND
    assert ["workspaces.deleted", {"workspace_id": workspace_id}] in notices()


def test_of_20_who_delete_a_workspace_at_once_one_succeeds(anna: Person, workspace_id: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: outcome(anna, "DELETE", f"/workspace/{workspace_id}")[0], range(20)))

    assert sorted(statuses) == [200] + [404] * 19


def test_a_change_of_a_workspace_that_is_being_deleted_fails_cleanly(anna: Person, ben: Person, agent_ids: list[str]) -> None:
    for _ in range(5):
        workspace_id = anna.post("/workspace").json["workspace"]["workspace_id"]
        changes: list[tuple[str, str, Any]] = [
            ("DELETE", "", None),
            ("PUT", "/rename", {"name": "n"}),
            ("POST", "/agent", {"agent_id": agent_ids[0]}),
            ("PUT", "/coordinator", {"agent_id": agent_ids[1]}),
            ("POST", "/members", {"email": ben.email, "role": "viewer"}),
        ]
        with ThreadPoolExecutor(5) as pool:
            statuses = list(pool.map(lambda c, w=workspace_id: outcome(anna, c[0], f"/workspace/{w}{c[1]}", json=c[2])[0], changes))

        assert set(statuses) <= {200, 404}


def test_there_are_not_more_workspaces_than_a_user_may_have(app: Flask, anna: Person, ben: Person) -> None:
    db.session.add_all([Workspace(name="w", owner_id=uuid.UUID(anna.user_id)) for _ in range(999)])
    db.session.commit()

    with ThreadPoolExecutor(5) as pool:
        statuses = list(pool.map(lambda _: outcome(anna, "POST", "/workspace")[0], range(5)))

    assert sorted(statuses) == [200] + [409] * 4
    assert ben.post("/workspace").status_code == 200
    assert len(anna.get("/workspace").json["workspaces"]) == 1000


# -- agents ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [("POST", "agent"), ("PUT", "coordinator")])
@pytest.mark.parametrize("agent_id", ["nobody", "../echo", "x" * 200])
def test_an_agent_that_does_not_exist_is_not_added(anna: Person, workspace_id: str, method: str, path: str, agent_id: str) -> None:
    got = outcome(anna, method, f"/workspace/{workspace_id}/{path}", json={"agent_id": agent_id})

    assert got == (404, {"msg": "Agent does not exist"})
    assert shown(anna, workspace_id)["agents"] == []


def test_agents_are_listed_in_the_order_of_adding(anna: Person, workspace_id: str, agent_ids: list[str]) -> None:
    for agent_id in [*reversed(agent_ids), agent_ids[0]]:
        got = outcome(anna, "POST", f"/workspace/{workspace_id}/agent", json={"agent_id": agent_id})
        assert got == (200, {"msg": "Agent added to Workspace."})

    workspace = shown(anna, workspace_id)
    assert workspace["agents"] == list(reversed(agent_ids))
    assert workspace["coordinator_agent"] == agent_ids[1]


def test_an_agent_is_removed_and_may_be_removed_again(anna: Person, workspace_id: str, agent_ids: list[str]) -> None:
    for agent_id in agent_ids:
        anna.post(f"/workspace/{workspace_id}/agent", json={"agent_id": agent_id})

    for _ in range(2):
        got = outcome(anna, "DELETE", f"/workspace/{workspace_id}/agent", json={"agent_id": agent_ids[0]})
        assert got == (200, {"msg": "Agent removed"})

    workspace = shown(anna, workspace_id)
    assert (workspace["agents"], workspace["coordinator_agent"]) == (agent_ids[1:], agent_ids[1])


def test_a_coordinator_is_added_where_it_was_not_and_leaves_its_place_when_removed(
    anna: Person, workspace_id: str, agent_ids: list[str]
) -> None:
    first, second = agent_ids
    anna.post(f"/workspace/{workspace_id}/agent", json={"agent_id": first})

    assert outcome(anna, "PUT", f"/workspace/{workspace_id}/coordinator", json={"agent_id": second}) == (
        200,
        {"msg": "Coordinator agent set"},
    )
    chosen = shown(anna, workspace_id)
    anna.delete(f"/workspace/{workspace_id}/agent", json={"agent_id": second})
    removed = shown(anna, workspace_id)

    assert (chosen["agents"], chosen["coordinator_agent"]) == ([first, second], second)
    assert (removed["agents"], removed["coordinator_agent"]) == ([first], first)


def test_an_agent_added_by_20_at_once_is_there_once(anna: Person, workspace_id: str, agent_ids: list[str]) -> None:
    body = {"agent_id": agent_ids[0]}

    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda _: outcome(anna, "POST", f"/workspace/{workspace_id}/agent", json=body)[0], range(20)))

    assert set(got) == {200}
    assert shown(anna, workspace_id)["agents"] == [agent_ids[0]]


def test_there_are_not_more_agents_than_a_workspace_may_have(anna: Person, workspace_id: str, agent_ids: list[str]) -> None:
    held = db.session.query(Workspace).one()
    db.session.add_all([WorkspaceAgent(workspace_id=held.id, agent_id=f"a{n}") for n in range(100)])
    db.session.commit()

    assert outcome(anna, "POST", f"/workspace/{workspace_id}/agent", json={"agent_id": agent_ids[0]})[0] == 409
    assert outcome(anna, "PUT", f"/workspace/{workspace_id}/coordinator", json={"agent_id": agent_ids[0]})[0] == 409


# -- members -----------------------------------------------------------------------------------------------------------


def test_somebody_without_an_account_cannot_be_added(anna: Person, workspace_id: str) -> None:
    got = outcome(anna, "POST", f"/workspace/{workspace_id}/members", json={"email": "nobody@example.com", "role": "viewer"})

    assert got == (404, {"msg": "User not found"})


def test_the_owner_is_neither_added_nor_removed(anna: Person, workspace_id: str) -> None:
    added = outcome(anna, "POST", f"/workspace/{workspace_id}/members", json={"email": anna.email, "role": "viewer"})
    removed = outcome(anna, "DELETE", f"/workspace/{workspace_id}/members/{anna.user_id}")

    assert added[0] == removed[0] == 409
    assert shown(anna, workspace_id)["role"] == "owner"


@pytest.mark.parametrize("user_id", NO_IDS[:5])
def test_somebody_who_is_no_member_cannot_be_removed(anna: Person, workspace_id: str, user_id: str) -> None:
    assert outcome(anna, "DELETE", f"/workspace/{workspace_id}/members/{user_id}") == (404, {"msg": "Member not found"})


def test_a_member_does_not_remove_another(app: Flask, anna: Person, ben: Person, workspace_id: str) -> None:
    carl = new_person(app)
    share(anna, workspace_id, ben, "editor")
    share(anna, workspace_id, carl, "viewer")

    assert outcome(ben, "DELETE", f"/workspace/{workspace_id}/members/{carl.user_id}") == NOT_OWNER
    assert outcome(ben, "DELETE", f"/workspace/{workspace_id}/members/{anna.user_id}") == NOT_OWNER


def test_members_are_listed_with_the_owner_first(anna: Person, ben: Person, workspace_id: str) -> None:
    added = anna.post(f"/workspace/{workspace_id}/members", json={"email": "BEN@example.com", "role": "viewer"}).json

    assert added == {"msg": "Member added", "member": {"user_id": ben.user_id, "email": "ben@example.com", "role": "viewer"}}
    for person in (anna, ben):
        assert person.get(f"/workspace/{workspace_id}/members").json == {
            "members": [{"user_id": anna.user_id, "email": "anna@example.com", "role": "owner"}, added["member"]]
        }


def test_adding_a_member_again_changes_their_role(anna: Person, ben: Person, workspace_id: str) -> None:
    for role in ("viewer", "editor", "viewer"):
        share(anna, workspace_id, ben, role)
        assert shown(ben, workspace_id)["role"] == role


@pytest.mark.parametrize("by", ["owner", "member"])
def test_a_removed_member_is_a_stranger_again(anna: Person, ben: Person, workspace_id: str, notices: Notices, by: str) -> None:
    share(anna, workspace_id, ben, "editor")

    got = outcome(anna if by == "owner" else ben, "DELETE", f"/workspace/{workspace_id}/members/{ben.user_id}")

    assert got == (200, {"msg": "Member removed"})
    assert outcome(ben, "GET", f"/workspace/{workspace_id}") == NO_ACCESS
    assert ben.get("/workspace").json == {"workspaces": []}
    told = {"workspace_id": workspace_id, "user_id": ben.user_id}
    assert notices() == [["workspaces.member_changed", told], ["workspaces.member_removed", told]]


def test_there_are_not_more_members_than_a_workspace_may_have(anna: Person, ben: Person, workspace_id: str) -> None:
    held = db.session.query(Workspace).one()
    people = [User(email=f"m{n}", email_key=f"m{n}", password_hash="-") for n in range(100)]
    db.session.add_all(people)
    db.session.flush()
    db.session.add_all([Member(workspace_id=held.id, user_id=person.id, role="viewer") for person in people])
    db.session.commit()

    got = outcome(anna, "POST", f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": "viewer"})

    assert got[0] == 409
