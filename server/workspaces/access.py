"""Who may do what in a workspace."""

from __future__ import annotations

from server.accounts.models import User
from server.kit.errors import Forbidden, NotFound
from server.kit.http import parse_id
from server.workspaces.models import Workspace, workspace_and_role
from server.workspaces.rules import Role, may

__all__ = ["NoAccess", "NotTheOwner", "WorkspaceNotFound", "access", "standing"]


class WorkspaceNotFound(NotFound):
    """Workspace not found"""


class NoAccess(Forbidden):
    """User does not have access to the workspace"""

    code = "no_access"


class NotTheOwner(NoAccess):
    """User is not the owner of the workspace"""

    code = "not_the_owner"


def standing(workspace_id: object, user: User) -> tuple[Workspace, str | None]:
    """A workspace and the user's role in it; None: it is not theirs to see. Raises WorkspaceNotFound, for a malformed id too."""
    found = workspace_and_role(parse_id(workspace_id), user.id)
    if found is None:
        raise WorkspaceNotFound
    return found


def access(workspace_id: object, user: User, need: Role = "viewer") -> Workspace:
    """The workspace, if the user may do there what needs this role. Raises WorkspaceNotFound, NoAccess, NotTheOwner."""
    workspace, role = standing(workspace_id, user)
    if not may(role, need):
        raise NotTheOwner if need == "owner" else NoAccess
    return workspace
