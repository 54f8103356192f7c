"""What can be done with workspaces. Each verb commits; who may do it was asked before (`access`), where it does not say otherwise."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from server.accounts import farewells
from server.accounts.actions import UserNotFound
from server.accounts.models import User
from server.accounts.rules import email_key
from server.kit.db import after_commit, commit, db
from server.kit.errors import Conflict, NotFound
from server.kit.http import parse_id
from server.realtime import control
from server.workspaces.access import NoAccess, NotTheOwner, WorkspaceNotFound, standing
from server.workspaces.models import Member, Workspace, WorkspaceAgent
from server.workspaces.rules import DEFAULT_NAME, MAX_AGENTS, MAX_MEMBERS, MAX_WORKSPACES

__all__ = [
    "Full",
    "MemberNotFound",
    "OwnerStays",
    "add_agent",
    "add_member",
    "before_delete",
    "create",
    "delete",
    "forget_those_of",
    "remove_agent",
    "remove_member",
    "rename",
    "set_coordinator",
]


# For rooms above: have `before_delete(app, let_go)` call `let_go(workspace_id)` in the transaction that deletes a workspace.
before_delete = functools.partial(farewells.before_delete, "workspace")


class Full(Conflict):
    """There are as many as there may be."""

    code = "full"


class MemberNotFound(NotFound):
    """Member not found"""


class OwnerStays(Conflict):
    """The owner of a workspace is in it already, and stays."""

    code = "owner_stays"


def create(owner: User, name: str | None = None) -> Workspace:
    """A new workspace without agents. Raises Full."""
    held = sa.select(User.id).where(User.id == owner.id).with_for_update(key_share=True)
    if db.session.scalar(held) is None:
        raise UserNotFound
    _refuse_full(sa.select(Workspace.id).where(Workspace.owner_id == owner.id), MAX_WORKSPACES, "workspaces")
    workspace = Workspace(name=name or DEFAULT_NAME, owner_id=owner.id)
    db.session.add(workspace)
    commit()
    return workspace


def rename(workspace: Workspace, name: str) -> None:
    """Give a workspace another name."""
    _held(workspace).name = name
    commit()


def delete(workspace_id: str, user: User) -> None:
    """Delete a workspace with all that is in it, if it is the user's own. Raises WorkspaceNotFound, NoAccess."""
    workspace, role = standing(workspace_id, user)
    if role != "owner":
        raise NoAccess
    _take_leave(workspace.id)
    if not db.session.execute(sa.delete(Workspace).where(Workspace.id == workspace.id)).rowcount:  # type: ignore[attr-defined]
        raise WorkspaceNotFound
    commit()


def forget_those_of(user_id: uuid.UUID) -> None:
    """Let go, in the caller's transaction, of all that the workspaces of a user have outside their rows."""
    for workspace_id in db.session.scalars(sa.select(Workspace.id).where(Workspace.owner_id == user_id)).all():
        _take_leave(workspace_id)


def _take_leave(workspace_id: uuid.UUID) -> None:
    farewells.take_leave("workspace", workspace_id)
    after_commit(lambda: control.tell("workspaces.deleted", workspace_id=str(workspace_id)))


# -- agents ------------------------------------------------------------------------------------------------------------


def add_agent(workspace: Workspace, agent_id: str) -> None:
    """Let a workspace talk to an agent; nothing changes when it does already. Raises Full."""
    _put_agent(_held(workspace), agent_id)
    commit()


def remove_agent(workspace: Workspace, agent_id: str) -> None:
    """Take an agent out of a workspace, and out of its coordinator's place; nothing changes when it is not there."""
    held = _held(workspace)
    mine = sa.and_(WorkspaceAgent.workspace_id == held.id, WorkspaceAgent.agent_id == agent_id)
    db.session.execute(sa.delete(WorkspaceAgent).where(mine))
    if held.coordinator_agent == agent_id:
        held.coordinator_agent = None
    commit()


def set_coordinator(workspace: Workspace, agent_id: str) -> None:
    """Let an agent answer where none is named; it is added where it was not. Raises Full."""
    held = _held(workspace)
    _put_agent(held, agent_id)
    held.coordinator_agent = agent_id
    commit()


def _put_agent(held: Workspace, agent_id: str) -> None:
    mine = sa.select(WorkspaceAgent.agent_id).where(WorkspaceAgent.workspace_id == held.id)
    if db.session.scalar(mine.where(WorkspaceAgent.agent_id == agent_id)) is not None:
        return
    _refuse_full(mine, MAX_AGENTS, "agents in a workspace")
    db.session.add(WorkspaceAgent(workspace_id=held.id, agent_id=agent_id))


# -- members -----------------------------------------------------------------------------------------------------------


def add_member(workspace: Workspace, email: str, role: str) -> tuple[User, str]:
    """Share a workspace with the user of an address, or give a member another role. Raises UserNotFound, OwnerStays, Full."""
    held = _held(workspace)
    # Held, so that nobody is added who is being deleted.
    user = db.session.scalar(sa.select(User).where(User.email_key == email_key(email)).with_for_update(read=True, key_share=True))
    if user is None:
        raise UserNotFound
    if user.id == held.owner_id:
        raise OwnerStays
    others = sa.select(Member.user_id).where(Member.workspace_id == held.id, Member.user_id != user.id)
    _refuse_full(others, MAX_MEMBERS, "members in a workspace")
    row = insert(Member).values(workspace_id=held.id, user_id=user.id, role=role)
    row = row.on_conflict_do_update(index_elements=[Member.workspace_id, Member.user_id], set_={"role": role})
    db.session.execute(row)
    told = {"workspace_id": str(held.id), "user_id": str(user.id)}
    after_commit(lambda: control.tell("workspaces.member_changed", **told))
    commit()
    return user, role


def remove_member(workspace_id: str, member_id: str, asker: User) -> None:
    """End somebody's part in a workspace: the owner anybody's, everybody their own.

    Raises WorkspaceNotFound, NoAccess, NotTheOwner, OwnerStays, MemberNotFound.
    """
    workspace, role = standing(workspace_id, asker)
    user_id = parse_id(member_id)
    if role is None:
        raise NoAccess
    if role != "owner" and user_id != asker.id:
        raise NotTheOwner
    if user_id == workspace.owner_id:
        raise OwnerStays
    theirs = sa.delete(Member).where(Member.workspace_id == workspace.id, Member.user_id == user_id)
    if not db.session.execute(theirs).rowcount:  # type: ignore[attr-defined]
        raise MemberNotFound
    facts = {"workspace_id": str(workspace.id), "user_id": str(user_id)}
    after_commit(lambda: control.tell("workspaces.member_removed", **facts))
    commit()


# -- what they share ---------------------------------------------------------------------------------------------------


def _held(workspace: Workspace) -> Workspace:
    """The workspace as it is now, with nobody else changing it until the commit. Raises WorkspaceNotFound once it is deleted."""
    found = sa.select(Workspace).where(Workspace.id == workspace.id).with_for_update(key_share=True)
    held = db.session.scalar(found, execution_options={"populate_existing": True})
    if held is None:
        raise WorkspaceNotFound
    return held


def _refuse_full(rows: sa.Select[Any], limit: int, what: str) -> None:
    if (db.session.scalar(sa.select(sa.func.count()).select_from(rows.limit(limit).subquery())) or 0) >= limit:
        raise Full(f"There may be at most {limit} {what}.")
