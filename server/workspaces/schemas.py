"""The shapes of the workspaces' door."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from server.accounts.schemas import Address, Input, Message, Moment, Name
from server.workspaces.rules import DEFAULT_NAME, GIVEN_ROLES, MAX_AGENT_ID_CHARS, ROLES

__all__ = [
    "AgentChoice",
    "MemberAdded",
    "Members",
    "NewMember",
    "NewName",
    "NewWorkspace",
    "WorkspaceAnswer",
    "WorkspaceCreated",
    "WorkspaceShape",
    "Workspaces",
]


class NewWorkspace(Input):
    """A new workspace."""

    name = Name(metadata={"default": DEFAULT_NAME, "example": "My New Workspace"})


class NewName(Input):
    """Another name."""

    name = Name(required=True, metadata={"example": "Research"})


class AgentChoice(Input):
    """An agent of this server."""

    agent_id = fields.String(required=True, validate=validate.Length(max=MAX_AGENT_ID_CHARS), metadata={"example": "echo"})


class NewMember(Input):
    """Whom to share with, and what they may do."""

    email = Address(required=True)
    role = fields.String(
        required=True,
        validate=validate.OneOf(GIVEN_ROLES),
        metadata={"description": "`viewer` reads, `editor` also chats and adds documents."},
    )


class WorkspaceShape(Schema):
    """A workspace, seen by one of those in it."""

    workspace_id = fields.UUID(required=True)
    id = fields.UUID(required=True, metadata={"description": "The same as `workspace_id`."})
    name = fields.String(required=True)
    owner = fields.UUID(required=True, metadata={"description": "Id of the user whose it is."})
    role = fields.String(required=True, validate=validate.OneOf(ROLES), metadata={"description": "What you are in it."})
    agents = fields.List(fields.String(), required=True, metadata={"description": "Ids of its agents, in the order of adding."})
    coordinator_agent = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The agent that answers where none is named: the one chosen, else the first added."},
    )
    last_chat_id = fields.UUID(required=True, allow_none=True)
    created_at = Moment(required=True)


class WorkspaceCreated(Message):
    """The new workspace."""

    workspace = fields.Nested(WorkspaceShape, required=True)


class WorkspaceAnswer(Schema):
    """One workspace."""

    workspace = fields.Nested(WorkspaceShape, required=True)


class Workspaces(Schema):
    """Your own workspaces, then those shared with you."""

    workspaces = fields.List(fields.Nested(WorkspaceShape), required=True)


class MemberShape(Schema):
    """Somebody in a workspace."""

    user_id = fields.UUID(required=True)
    email = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))


class Members(Schema):
    """Everybody in a workspace, the owner first."""

    members = fields.List(fields.Nested(MemberShape), required=True)


class MemberAdded(Message):
    """The member as they are now."""

    member = fields.Nested(MemberShape, required=True)
