"""What holds for workspaces whatever is stored: roles and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = [
    "DEFAULT_NAME",
    "GIVEN_ROLES",
    "MAX_AGENTS",
    "MAX_AGENT_ID_CHARS",
    "MAX_MEMBERS",
    "MAX_SHOWN",
    "MAX_WORKSPACES",
    "ROLES",
    "Role",
    "coordinator",
    "may",
]

Role = Literal["viewer", "editor", "owner"]

# Each may do what those before it may: read; have chats of their own and documents; rename, delete, share, choose agents.
ROLES: tuple[Role, ...] = ("viewer", "editor", "owner")
# The owner's role is not given; it is whoever made the workspace.
GIVEN_ROLES = ROLES[:2]

DEFAULT_NAME = "Untitled Workspace"
MAX_WORKSPACES = 1000
MAX_MEMBERS = 100
MAX_AGENTS = 100
MAX_AGENT_ID_CHARS = 200
# A list of workspaces: all of one's own and as many shared ones.
MAX_SHOWN = 2 * MAX_WORKSPACES


def may(role: str | None, need: Role) -> bool:
    """Whether somebody in this role (None: not in the workspace) may do what needs that one."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(need)


def coordinator(chosen: str | None, agents: Sequence[str]) -> str | None:
    """The agent that answers where none is named: the one chosen, else the first that was added."""
    return chosen or (agents[0] if agents else None)
