"""A run as a turn of a chat: told in tokens and steps, ended by an answer or by questions."""

from __future__ import annotations

from typing import Any

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot

from server.engine import parts
from server.engine.failures import RECURSION_LIMIT, too_large
from server.engine.job import Emit, Job, Outcome

__all__ = ["STOPPED", "TooMuch", "Turn"]


class Turn:
    """Listens to a graph on behalf of a chat. Raises TooMuch when it says more than it may."""

    subgraphs = True
    durability = "async"

    def __init__(self, job: Job, emit: Emit) -> None:
        self._job = job
        self._emit = emit
        self._narrator = parts.Narrator(job.run_id, job.agent.agent_id)
        self._values: Any = None
        self._interrupts: list[dict[str, Any]] = []
        self.modes = parts.MODES
        self.interrupting: dict[str, Any] = {}

    def config(self) -> RunnableConfig:
        """What the graph is configured with: the chat's facts."""
        known = {name: value for name, value in self._job.context.items() if isinstance(value, str)}
        return {
            "configurable": {**known, "thread_id": self._job.thread_id},
            "metadata": {"run_id": str(self._job.run_id)},
            "run_name": self._job.agent.agent_id,
            "recursion_limit": RECURSION_LIMIT,
        }

    async def beginning(self, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> tuple[Any, RunnableConfig]:
        """What to give the graph: the input, a human's answers, or nothing where a checkpoint of this run is to be gone on from."""
        job = self._job
        if not job.is_retry:
            return job.input, config
        snapshot = await graph.aget_state(config)
        is_mine = (snapshot.metadata or {}).get("run_id") == str(job.run_id)
        self._emit.resumed(parts.kept_message_ids(job.run_id, snapshot.values) if is_mine else [])
        if not is_mine:
            return job.input, config
        waiting = _asked(snapshot)
        answers = {name: value for name, value in (job.resume or {}).items() if name in waiting}
        return Command(resume=answers) if answers else None, config

    def hear(self, namespace: tuple[str, ...], mode: str, part: Any) -> None:
        """Take one part of what the graph says, and pass on what a chat wants to know of it."""
        if mode == "values":
            self._values = self._values if namespace else part
        elif mode == "updates":
            self._interrupts += [] if namespace else parts.interrupts_in(part)
        else:
            for kind, data in self._narrator.tell(mode, part):
                if self._narrator.said_chars > self._job.max_output_bytes:
                    raise TooMuch
                self._emit(kind, data)

    async def outcome(self, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> Outcome:
        """How it ended, once the graph has said everything."""
        limit = self._job.max_output_bytes
        if self._interrupts:
            is_large = len(orjson.dumps(self._interrupts)) > limit
            return too_large(self._job) if is_large else Outcome("interrupted", interrupts=self._interrupts)
        output = parts.answer_in(self._job.run_id, self._values)
        return too_large(self._job) if len(orjson.dumps(output)) > limit else Outcome("success", output=output)

    def left(self, outcome: Outcome) -> Outcome:
        """The outcome of an attempt that was cut short; a chat keeps what it was told."""
        return outcome


# Stands for what to give a graph that has stopped already where it was told to: nothing, and it does not go on either.
STOPPED = object()


class TooMuch(Exception):
    """The agent says more than it may."""


def _asked(snapshot: StateSnapshot) -> set[str]:
    return {each.id for task in snapshot.tasks for each in task.interrupts}
