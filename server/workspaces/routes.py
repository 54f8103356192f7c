"""The workspaces' door: workspaces, their agents, their members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, current_app

from server.accounts.farewells import before_delete
from server.accounts.schemas import Message
from server.accounts.who import me, signed_in
from server.kit.errors import NotFound
from server.kit.http import answer, body
from server.workspaces import actions
from server.workspaces.access import NoAccess, access, standing
from server.workspaces.models import Workspace, agents_of, members_of, workspaces_of
from server.workspaces.rules import coordinator
from server.workspaces.schemas import (
    AgentChoice,
    MemberAdded,
    Members,
    NewMember,
    NewName,
    NewWorkspace,
    WorkspaceAnswer,
    WorkspaceCreated,
    Workspaces,
)

__all__ = ["door"]

door = Blueprint("workspaces", __name__)
door.record_once(lambda state: before_delete("user", state.app, actions.forget_those_of))

Fields = dict[str, Any]


def _shown(seen: Sequence[tuple[Workspace, str]]) -> list[dict[str, Any]]:
    """Workspaces, each with the role it is seen in, as clients get them."""
    agents = agents_of([workspace.id for workspace, _ in seen])
    return [
        {
            "workspace_id": workspace.id,
            "id": workspace.id,
            "name": workspace.name,
            "owner": workspace.owner_id,
            "role": role,
            "agents": agents[workspace.id],
            "coordinator_agent": coordinator(workspace.coordinator_agent, agents[workspace.id]),
            "last_chat_id": workspace.last_chat_id,
            "created_at": workspace.created_at,
        }
        for workspace, role in seen
    ]


def _known(agent_id: str) -> str:
    """The id, if this server has such an agent. The agents' room, which is above this one, keeps its catalogue with the app."""
    if current_app.extensions["catalogue"].get(agent_id) is None:
        raise NotFound("Agent does not exist")
    return agent_id


@door.post("/workspace")
@signed_in
@body(NewWorkspace, optional=True)
@answer(WorkspaceCreated)
def create_workspace(fields: Fields) -> dict[str, Any]:
    """Make a workspace; the body may be left out.

    Refused: 409 when you have too many.
    """
    workspace = actions.create(me(), fields.get("name"))
    return {"msg": "Workspace created", "workspace": _shown([(workspace, "owner")])[0]}


@door.get("/workspace")
@signed_in
@answer(Workspaces)
def list_workspaces() -> dict[str, Any]:
    """List your workspaces and those shared with you."""
    return {"workspaces": _shown(workspaces_of(me().id))}


@door.get("/workspace/<workspace_id>")
@signed_in
@answer(WorkspaceAnswer)
def show_workspace(workspace_id: str) -> dict[str, Any]:
    """Show a workspace.

    Refused: 404 `Workspace not found`, 403 `User does not have access to the workspace`.
    """
    workspace, role = standing(workspace_id, me())
    if role is None:
        raise NoAccess
    return {"workspace": _shown([(workspace, role)])[0]}


@door.delete("/workspace/<workspace_id>")
@signed_in
@answer(Message)
def delete_workspace(workspace_id: str) -> dict[str, str]:
    """Delete a workspace with its chats and documents. The owner's alone.

    Refused: 404 `Workspace not found`, 403 `User does not have access to the workspace`.
    """
    actions.delete(workspace_id, me())
    return {"msg": "Workspace deleted"}


@door.put("/workspace/<workspace_id>/rename")
@signed_in
@body(NewName, missing="Missing name parameter")
@answer(Message)
def rename_workspace(fields: Fields, workspace_id: str) -> dict[str, str]:
    """Rename a workspace. The owner's alone.

    Refused: 400 `Missing name parameter`, 404 `Workspace not found`, 403 `User is not the owner of the workspace`.
    """
    actions.rename(access(workspace_id, me(), "owner"), fields["name"])
    return {"msg": "Workspace renamed"}


@door.post("/workspace/<workspace_id>/agent")
@signed_in
@body(AgentChoice, missing="Missing agent_id parameter")
@answer(Message)
def add_agent(fields: Fields, workspace_id: str) -> dict[str, str]:
    """Add an agent to a workspace. The owner's alone.

    Refused: 400 `Missing agent_id parameter`, 404 `Workspace not found`, 403 `User is not the owner of the workspace`,
    404 `Agent does not exist`, 409 when there are too many.
    """
    actions.add_agent(access(workspace_id, me(), "owner"), _known(fields["agent_id"]))
    return {"msg": "Agent added to Workspace."}


@door.delete("/workspace/<workspace_id>/agent")
@signed_in
@body(AgentChoice, missing="Missing agent_id parameter")
@answer(Message)
def remove_agent(fields: Fields, workspace_id: str) -> dict[str, str]:
    """Take an agent out of a workspace; one that is not in it is out of it. The owner's alone.

    Refused: 400 `Missing agent_id parameter`, 404 `Workspace not found`, 403 `User is not the owner of the workspace`.
    """
    actions.remove_agent(access(workspace_id, me(), "owner"), fields["agent_id"])
    return {"msg": "Agent removed"}


@door.put("/workspace/<workspace_id>/coordinator")
@signed_in
@body(AgentChoice, missing="Missing agent_id parameter")
@answer(Message)
def set_coordinator(fields: Fields, workspace_id: str) -> dict[str, str]:
    """Choose the agent that answers where none is named; it is added where it was not. The owner's alone.

    Refused: 400 `Missing agent_id parameter`, 404 `Workspace not found`, 403 `User is not the owner of the workspace`,
    404 `Agent does not exist`, 409 when there are too many.
    """
    actions.set_coordinator(access(workspace_id, me(), "owner"), _known(fields["agent_id"]))
    return {"msg": "Coordinator agent set"}


@door.get("/workspace/<workspace_id>/members")
@signed_in
@answer(Members)
def list_members(workspace_id: str) -> dict[str, Any]:
    """List everybody in a workspace.

    Refused: 404 `Workspace not found`, 403 `User does not have access to the workspace`.
    """
    return {"members": members_of(access(workspace_id, me()))}


@door.post("/workspace/<workspace_id>/members")
@signed_in
@body(NewMember, missing="Missing email/role parameter")
@answer(MemberAdded)
def add_member(fields: Fields, workspace_id: str) -> dict[str, Any]:
    """Share a workspace, or give a member another role. The owner's alone.

    Refused: 400 `Missing email/role parameter`, 404 `Workspace not found`, 403 `User is not the owner of the workspace`,
    404 `User not found`, 409 for the owner and when there are too many.
    """
    user, role = actions.add_member(access(workspace_id, me(), "owner"), fields["email"], fields["role"])
    return {"msg": "Member added", "member": {"user_id": user.id, "email": user.email, "role": role}}


@door.delete("/workspace/<workspace_id>/members/<user_id>")
@signed_in
@answer(Message)
def remove_member(workspace_id: str, user_id: str) -> dict[str, str]:
    """Take a member out of a workspace, or leave it.

    Refused: 404 `Workspace not found`, 403 `User does not have access to the workspace`, 403 `User is not the owner of the workspace`,
    404 `Member not found`, 409 for the owner.
    """
    actions.remove_member(workspace_id, user_id, me())
    return {"msg": "Member removed"}
