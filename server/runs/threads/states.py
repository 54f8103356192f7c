"""What a thread's state is, was and shall be: asked of a worker, which has the agent's code."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from server.agents import catalogue
from server.kit.asking import ask
from server.kit.db import release
from server.kit.errors import NotFound, Refusal
from server.runs.threads.models import Thread

__all__ = ["WRITE", "GraphNotFound", "NoGraph", "history", "place", "state", "write"]

WRITE = "threads.write"


class NoGraph(Refusal):
    """The thread has no graph."""

    code = "no_graph"


class GraphNotFound(NotFound):
    """Graph not found"""

    code = "graph_not_found"


Checkpoint = Mapping[str, Any] | None

# The state of a thread that no graph has begun to work on.
EMPTY: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


def state(thread: Thread, checkpoint: Checkpoint = None, *, subgraphs: bool = False) -> dict[str, Any]:
    """The newest state of a thread, or that of a checkpoint, as LangGraph's clients know it. Blocks. Raises GraphNotFound, Unavailable."""
    if not thread.about.get("graph_id"):
        return dict(EMPTY)
    told: dict[str, Any] = _asked("threads.state", {**place(thread), "checkpoint": checkpoint, "subgraphs": subgraphs})
    return told


def history(
    thread: Thread, checkpoint: Checkpoint = None, *, limit: int, before: str | None = None, metadata: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The states of a thread, newest first: those before a checkpoint, those whose metadata holds something. Blocks; raises as `state`."""
    if not thread.about.get("graph_id"):
        return []
    asked = {"checkpoint": checkpoint, "limit": limit, "before": before, "metadata": metadata}
    told: list[dict[str, Any]] = _asked("threads.history", {**place(thread), **asked})
    return told


def write(key: uuid.UUID, supersteps: Sequence[Sequence[Mapping[str, Any]]], checkpoint: Checkpoint = None) -> dict[str, Any]:
    """Write state as nodes would; what names the new checkpoint. Blocks.

    Raises NoGraph, GraphNotFound, ThreadInUse while a run of the thread is not done, and UpdateRefused.
    """
    stored: dict[str, Any] = _asked(WRITE, {"key": key, "supersteps": supersteps, "checkpoint": checkpoint})
    return stored


def _asked(name: str, question: dict[str, Any]) -> Any:
    """What a worker answers; no transaction stays open meanwhile."""
    release()
    return ask(name, question)


def place(thread: Thread) -> dict[str, Any]:
    """Where a worker finds the state of a thread. Raises NoGraph, GraphNotFound."""
    graph_id = thread.about.get("graph_id")
    if not isinstance(graph_id, str) or not graph_id:
        raise NoGraph(
            f"Thread '{thread.name}' has no assigned graph ID. This usually occurs when no runs have been made on this particular thread. "
            "This operation requires a graph ID. Please ensure a run has been made for the thread or manually update the thread metadata "
            "(by setting the 'graph_id' field) before running this operation."
        )
    if catalogue.get(graph_id) is None:
        known = sorted(agent.agent_id for agent in catalogue.listed())
        raise GraphNotFound(f"Graph '{graph_id}' not found. Expected one of: {known}")
    return {"key": str(thread.id), "name": thread.name, "graph_id": graph_id, "config": thread.config}
