"""Who may do what in a workspace: the table of roles, walked."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask

from server.accounts.models import User, user_by_id
from server.kit.errors import Refusal
from server.workspaces.access import access, standing
from server.workspaces.models import team_of
from server.workspaces.rules import ROLES, Role, coordinator, may
from tests.accounts.factories import Person


def user(person: Person) -> User:
    found = user_by_id(uuid.UUID(person.user_id))
    assert found is not None
    return found


def refusal(workspace_id: object, person: Person, need: Role) -> tuple[int, str] | None:
    try:
        access(workspace_id, user(person), need)
    except Refusal as refused:
        return refused.status, refused.message
    return None


@pytest.mark.parametrize(
    ("role", "need", "expected"),
    [(role, need, ROLES.index(role) >= ROLES.index(need)) for role in ROLES for need in ROLES]
    + [(None, need, False) for need in ROLES]
    + [("admin", need, False) for need in ROLES],
)
def test_a_role_may_do_what_those_before_it_may(role: str | None, need: Role, expected: bool) -> None:
    assert may(role, need) is expected


@pytest.mark.parametrize(("chosen", "agents", "expected"), [(None, [], None), (None, ["a", "b"], "a"), ("b", ["a", "b"], "b")])
def test_the_chosen_agent_answers_and_otherwise_the_first(chosen: str | None, agents: list[str], expected: str | None) -> None:
    assert coordinator(chosen, agents) == expected


@pytest.mark.parametrize("no_id", [None, 5, "", "nonsense", "9841ff31-9358-466e-9df0-68cbbe127639", "\x00"])
def test_what_is_no_workspace_is_not_found(anna: Person, no_id: object) -> None:
    assert refusal(no_id, anna, "viewer") == (404, "Workspace not found")


@pytest.mark.parametrize(
    ("need", "message"),
    [
        ("viewer", "User does not have access to the workspace"),
        ("editor", "User does not have access to the workspace"),
        ("owner", "User is not the owner of the workspace"),
    ],
)
def test_a_stranger_is_refused_by_what_is_needed(workspace_id: str, ben: Person, need: Role, message: str) -> None:
    assert refusal(workspace_id, ben, need) == (403, message)
    assert standing(workspace_id, user(ben))[1] is None


@pytest.mark.parametrize(("role", "allowed"), [("viewer", {"viewer"}), ("editor", {"viewer", "editor"})])
def test_a_member_gets_as_far_as_their_role(anna: Person, ben: Person, workspace_id: str, role: str, allowed: set[str]) -> None:
    anna.post(f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": role})

    assert {need for need in ROLES if refusal(workspace_id, ben, need) is None} == allowed
    assert standing(workspace_id, user(ben))[1] == role


def test_the_owner_may_do_everything(app: Flask, anna: Person, workspace_id: str) -> None:
    assert [refusal(workspace_id, anna, need) for need in ROLES] == [None] * 3
    assert team_of(access(workspace_id, user(anna))) == ([], None)
