"""The agents' door: which agents there are, and reading their manifests again."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from server.accounts.who import me, signed_in
from server.agents import catalogue
from server.agents.schemas import AgentAnswer, AgentsAnswer, Reloaded
from server.kit.errors import Forbidden, NotFound
from server.kit.http import answer
from server.realtime import control

__all__ = ["door"]

door = Blueprint("agents", __name__)


@door.get("/agent")
@signed_in
@answer(AgentsAnswer)
def list_agents() -> dict[str, Any]:
    """List the agents of this server.

    An agent that is not `ready` says in `needs` what is missing.
    """
    agents = catalogue.listed()
    return {"agents": agents, "count": len(agents)}


@door.get("/agent/<agent_id>")
@signed_in
@answer(AgentAnswer)
def show_agent(agent_id: str) -> dict[str, Any]:
    """Show one agent. Refused: 404 `Agent does not exist`."""
    agent = catalogue.get(agent_id)
    if agent is None:
        raise NotFound("Agent does not exist")
    return {"agent": agent}


@door.route("/agent/reload", methods=["GET", "POST"])
@signed_in
@answer(Reloaded)
def reload_agents() -> dict[str, str]:
    """Read the agents' manifests and code again, in every process.

    For administrators.
    """
    if not me().is_admin:
        raise Forbidden
    catalogue.reload()
    control.tell("agents.reloaded")
    return {"msg": "Agents reloaded"}
