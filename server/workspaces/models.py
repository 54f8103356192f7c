"""The tables of workspaces, and what is read of them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.accounts.models import User
from server.kit.clock import new_id, now
from server.kit.db import Base, db
from server.workspaces.rules import GIVEN_ROLES, MAX_SHOWN, coordinator

__all__ = ["Member", "Workspace", "WorkspaceAgent", "agents_of", "members_of", "team_of", "workspace_and_role", "workspaces_of"]


class Workspace(Base):
    """A place that holds agents, documents and chats; it belongs to one user."""

    __tablename__ = "workspaces"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    owner_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # The agent that was chosen to answer where none is named; without one it is the first that was added.
    coordinator_agent: Mapped[str | None]
    # Kept by the chats, which are made above this room.
    last_chat_id: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)


class WorkspaceAgent(Base):
    """An agent that a workspace may talk to."""

    __tablename__ = "workspace_agents"

    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    agent_id: Mapped[str] = mapped_column(primary_key=True)
    # Counts up in the order of adding.
    number: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True))


class Member(Base):
    """Somebody, not the owner, with whom a workspace is shared."""

    __tablename__ = "members"
    __table_args__ = (sa.CheckConstraint(sa.column("role").in_(GIVEN_ROLES), name="role"),)

    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)


def _role_of(user_id: uuid.UUID) -> sa.ColumnElement[str | None]:
    return sa.case((Workspace.owner_id == user_id, "owner"), else_=Member.role).label("role")


def _with_role(user_id: uuid.UUID) -> sa.Select[Workspace, str | None]:
    """Every workspace with the role that this user has in it: one row each."""
    theirs = sa.and_(Member.workspace_id == Workspace.id, Member.user_id == user_id)
    return sa.select(Workspace, _role_of(user_id)).outerjoin(Member, theirs)


def workspace_and_role(workspace_id: uuid.UUID | None, user_id: uuid.UUID) -> tuple[Workspace, str | None] | None:
    """A workspace and the user's role in it (None: not theirs to see): one query. None when there is no such workspace."""
    found = _with_role(user_id).where(Workspace.id == workspace_id)
    row = db.session.execute(found, execution_options={"populate_existing": True}).first()
    return (row[0], row[1]) if row else None


def workspaces_of(user_id: uuid.UUID) -> list[tuple[Workspace, str]]:
    """The user's own workspaces, then those shared with them, each in the order of their making; at most MAX_SHOWN."""
    is_shared = Workspace.owner_id != user_id
    found = _with_role(user_id).where(sa.or_(Workspace.owner_id == user_id, Member.user_id == user_id))
    rows = db.session.execute(found.order_by(is_shared, Workspace.id).limit(MAX_SHOWN))
    return [(workspace, role or "") for workspace, role in rows]


def agents_of(workspace_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """The agents of several workspaces, each in the order of adding: one query."""
    found = sa.select(WorkspaceAgent.workspace_id, WorkspaceAgent.agent_id).where(WorkspaceAgent.workspace_id.in_(workspace_ids))
    agents: dict[uuid.UUID, list[str]] = defaultdict(list)
    for workspace_id, agent_id in db.session.execute(found.order_by(WorkspaceAgent.number)):
        agents[workspace_id].append(agent_id)
    return agents


def team_of(workspace: Workspace) -> tuple[list[str], str | None]:
    """The agents of a workspace in the order of adding, and the one that answers where none is named."""
    agents = agents_of([workspace.id])[workspace.id]
    return agents, coordinator(workspace.coordinator_agent, agents)


def members_of(workspace: Workspace) -> Sequence[sa.Row[uuid.UUID, str, str]]:
    """Everybody in a workspace as (user_id, email, role), the owner first, then in the order of joining."""
    owner = sa.select(User.id.label("user_id"), User.email, sa.literal("owner").label("role"), Workspace.created_at).join(
        Workspace, Workspace.owner_id == User.id
    )
    others = sa.select(User.id.label("user_id"), User.email, Member.role, Member.created_at).join(Member, Member.user_id == User.id)
    everybody = sa.union_all(owner.where(Workspace.id == workspace.id), others.where(Member.workspace_id == workspace.id)).subquery()
    ordered = sa.select(everybody.c.user_id, everybody.c.email, everybody.c.role)
    return db.session.execute(ordered.order_by(everybody.c.role != "owner", everybody.c.created_at)).all()
