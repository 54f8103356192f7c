"""Answers to questions about agents' graphs: what needs an agent's code is known to workers alone."""

from __future__ import annotations

import logging
from typing import Any

from server.agents import catalogue
from server.engine.drawing import Look
from server.engine.graphs import AgentBroken
from server.engine.job import AgentSource
from server.kit.asking import answering
from server.kit.errors import Conflict
from server.runs.tasks import host

__all__ = ["graph", "schemas", "subgraphs"]

log = logging.getLogger(__name__)


class GraphBroken(Conflict):
    """The graph cannot be opened."""

    code = "agent_broken"


class GraphGone(Conflict):
    """No manifest names the graph any more."""

    code = "agent_gone"


@answering("assistants.graph")
def graph(question: dict[str, Any]) -> dict[str, Any]:
    """The nodes and edges of an assistant's graph. Raises GraphGone, GraphBroken."""
    return _looked("graph", question)


@answering("assistants.schemas")
def schemas(question: dict[str, Any]) -> dict[str, Any]:
    """The JSON schemas of an assistant's graph. Raises GraphGone, GraphBroken."""
    return _looked("schemas", question)


@answering("assistants.subgraphs")
def subgraphs(question: dict[str, Any]) -> dict[str, Any]:
    """The JSON schemas of its subgraphs. Raises GraphGone, GraphBroken."""
    return _looked("subgraphs", question)


def _looked(what: str, question: dict[str, Any]) -> dict[str, Any]:
    graph_id = question.pop("graph_id")
    agent = catalogue.get(graph_id)
    if agent is None:
        raise GraphGone(f"There is no graph '{graph_id}' any more.")
    source = AgentSource(agent.agent_id, agent.graph, agent.folder, agent.env, agent.dependencies)
    try:
        return host().engine.look(Look(source, what, **question))
    except AgentBroken as error:
        raise GraphBroken(f"The graph cannot be opened: {error}.") from error
    except Exception as error:  # the agent's own code; what it says stays in the log
        log.warning("agent.cannot_be_drawn", extra={"facts": {"agent_id": graph_id, "kind": type(error).__name__}}, exc_info=error)
        raise GraphBroken(f"The graph cannot be opened ({type(error).__name__}).") from error
