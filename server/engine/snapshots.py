"""What a thread's state is and was, and how a program changes it: LangGraph's own verbs over the checkpoints of a thread.

A read shows what is stored, also while a run goes on. A write is for a thread that no run holds; its caller sees to that.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as Overdue
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.errors import InvalidUpdateError
from langgraph.types import Command, PregelTask, Send, StateSnapshot, StateUpdate
from psycopg import AsyncCursor
from psycopg.rows import DictRow
from psycopg_pool import PoolTimeout

from server.engine.graphs import Access, AgentBroken, Graph, opened_graph, own_types
from server.engine.job import AgentSource
from server.engine.loops import Loops
from server.engine.state import KnownAs, Recorder, RunSaver, StateRoom
from server.engine.statetypes import StateTypeBlocked
from server.engine.statewriter import Statement
from server.engine.wire import NAMES, checkpoint_named, jsonable, question, questions
from server.kit.clock import new_id
from server.kit.errors import Conflict, Refusal, TimedOut, Unavailable

__all__ = ["Changed", "Place", "Snapshots", "ThreadSaver"]

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Less than whoever asked waits for the answer: what takes longer is stopped, and told.
LIMIT_S = 12.0


class UpdateRefused(Refusal):
    """The update cannot be applied."""

    code = "invalid_update"


class StateUnreadable(Conflict):
    """The agent's state cannot be read."""

    code = "state_unreadable"


@dataclass(frozen=True)
class Place:
    """A thread, and the agent whose graph its state is of.

    config: the thread's own config; a factory is called with it.
    """

    known_as: KnownAs
    agent: AgentSource
    config: Mapping[str, Any] = field(default_factory=dict)

    def at(self, checkpoint: Mapping[str, Any] | None = None) -> RunnableConfig:
        """The config that names a checkpoint of the thread; its newest where none is named. Whose thread it is, only we say."""
        named = {name: each for name, each in (checkpoint or {}).items() if name in NAMES and each is not None}
        given = {name: each for name, each in self.config.get("configurable", {}).items() if not name.startswith("checkpoint_")}
        config = {
            "configurable": {**given, **named, "thread_id": self.known_as.name},
            "metadata": {"graph_id": self.agent.agent_id},
        }
        return cast("RunnableConfig", config)


@dataclass(frozen=True)
class Changed:
    """What a write has made of a thread.

    checkpoint: what names the new checkpoint. next: the nodes that it would go on with. interrupts: the questions that are open.
    """

    checkpoint: dict[str, Any]
    values: Any
    next: list[str]
    interrupts: list[dict[str, Any]]


class ThreadSaver(RunSaver):
    """The checkpointer of a thread that no run holds: what it is given is stored at once, each checkpoint in one transaction."""

    def __init__(self, room: StateRoom, place: Place) -> None:
        super().__init__(room, new_id(), 0, is_fresh=False, types=own_types(place.agent), known_as=place.known_as)

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        if not pipeline:
            async with super()._cursor() as cursor:
                yield cursor
            return
        recorder = Recorder()
        yield recorder  # type: ignore[misc]
        await self._room.do(_stored(self._room, recorder.statements))


async def _stored(room: StateRoom, statements: Sequence[Statement]) -> None:
    async with room.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        for statement in statements:
            await cursor.executemany(statement.sql, statement.rows)


class Snapshots:
    """The states of threads. Every verb blocks, for LIMIT_S at most, and runs the agent's code on the agent's own loop.

    Raises StateUnreadable when the agent's code cannot be opened or its state holds what it does not declare; TimedOut, Unavailable.
    """

    def __init__(self, room: StateRoom, loops: Loops) -> None:
        self._room = room
        self._loops = loops

    def state(self, place: Place, checkpoint: Mapping[str, Any] | None = None, *, subgraphs: bool = False) -> dict[str, Any]:
        """The newest state of a thread, or that of a checkpoint; an empty one where there is none."""

        async def read(graph: Graph) -> dict[str, Any]:
            snapshot = await graph.aget_state(place.at(checkpoint), subgraphs=subgraphs)
            return told(snapshot, is_asked_for=bool(checkpoint and checkpoint.get("checkpoint_id")))

        return self._on_the_loop(place, read)

    def history(
        self,
        place: Place,
        checkpoint: Mapping[str, Any] | None = None,
        *,
        limit: int,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """The states of a thread (or of a subgraph's namespace), newest first.

        before: the id of a checkpoint; those that are older. metadata: only those whose metadata holds this.
        """
        older = place.at({"checkpoint_id": before}) if before else None

        async def read(graph: Graph) -> list[dict[str, Any]]:
            found = graph.aget_state_history(place.at(checkpoint), filter=dict(metadata or {}), before=older, limit=limit)
            return [told(snapshot) async for snapshot in found]

        return self._on_the_loop(place, read)

    def update(
        self, place: Place, supersteps: Sequence[Sequence[Mapping[str, Any]]], checkpoint: Mapping[str, Any] | None = None
    ) -> Changed:
        """Write state as nodes would: each superstep is a list of `{"values", "command", "as_node"}`. Raises UpdateRefused."""
        steps = [[_update(each) for each in updates] for updates in supersteps]

        async def write(graph: Graph) -> Changed:
            stored = await graph.abulk_update_state(place.at(checkpoint), steps)
            newest = await graph.aget_state(place.at())
            return Changed(checkpoint_named(stored) or {}, jsonable(newest.values), list(newest.next), questions(newest))

        return self._on_the_loop(place, write, "threads.update")

    def left(self, place: Place) -> Changed:
        """The newest state of a thread as its row keeps it."""

        async def read(graph: Graph) -> Changed:
            newest = await graph.aget_state(place.at())
            return Changed(checkpoint_named(newest.config) or {}, jsonable(newest.values), list(newest.next), questions(newest))

        return self._on_the_loop(place, read)

    def _on_the_loop(self, place: Place, verb: Callable[[Graph], Coroutine[Any, Any, Answer]], access: Access = "threads.read") -> Answer:
        errand = self._loops.submit(place.agent.agent_id, place.agent.folder, self._carried_out(place, verb, access))
        try:
            return cast("Answer", errand.future.result(timeout=LIMIT_S))
        except Overdue:
            errand.cancel()
            raise TimedOut("The agent's code takes too long to show its state.") from None

    async def _carried_out(self, place: Place, verb: Callable[[Graph], Coroutine[Any, Any, Answer]], access: Access) -> Answer:
        try:
            async with opened_graph(place.agent, place.at(), access=access) as graph:
                return await verb(graph.copy({"checkpointer": ThreadSaver(self._room, place)}))
        except Exception as error:
            raise _refusal(place, error) from error


def _refusal(place: Place, error: Exception) -> Exception:
    """What a client is told of an exception. LangGraph says in its own words what is wrong with an update; others may hold secrets."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, AgentBroken):
        return StateUnreadable(f"The agent cannot be opened: {error}.")
    if isinstance(error, StateTypeBlocked):
        return StateUnreadable(f"The agent's state holds a type that it does not declare: {error}.")
    if isinstance(error, (psycopg.OperationalError, PoolTimeout)):
        return Unavailable("The database does not answer; try again.")
    words = str(error).partition("\n")[0]
    if isinstance(error, InvalidUpdateError) or (type(error) is ValueError and words.startswith("Subgraph ")):
        return UpdateRefused(words)
    log.warning("state.failed", extra={"facts": {"agent_id": place.agent.agent_id, "kind": type(error).__name__}}, exc_info=error)
    return UpdateRefused(f"The agent's code failed over its state ({type(error).__name__}).")


def _update(given: Mapping[str, Any]) -> StateUpdate:
    """An update as LangGraph takes it; a command counts before values."""
    command = given.get("command")
    return StateUpdate(given.get("values") if command is None else _command(command), given.get("as_node"))


def _command(command: Mapping[str, Any]) -> Any:
    goto = command.get("goto") or ()
    steps = [Send(each["node"], each.get("input")) if isinstance(each, Mapping) else each for each in _listed(goto)]
    update = command.get("update")
    pairs = [tuple(each) for each in update] if isinstance(update, list) else update
    return Command(update=pairs, resume=command.get("resume"), goto=steps)


def _listed(goto: Any) -> list[Any]:
    return list(goto) if isinstance(goto, (list, tuple)) else [goto]


# -- how a state is told -----------------------------------------------------------------------------------------------


def told(snapshot: StateSnapshot, *, is_asked_for: bool = False) -> dict[str, Any]:
    """A state in the shape that LangGraph's clients know.

    is_asked_for: the checkpoint was named, and is told also where nothing is stored under it.
    """
    is_there = snapshot.created_at is not None
    here = checkpoint_named(snapshot.config) if is_there or is_asked_for else None
    parent = checkpoint_named(snapshot.parent_config)
    return {
        "values": jsonable(snapshot.values),
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": _about(snapshot),
        "created_at": snapshot.created_at,
        "checkpoint": here,
        "parent_checkpoint": parent,
        "interrupts": [question(each) for each in snapshot.interrupts],
        "checkpoint_id": here and here.get("checkpoint_id"),
        "parent_checkpoint_id": parent and parent.get("checkpoint_id"),
    }


def _about(snapshot: StateSnapshot) -> dict[str, Any] | None:
    if snapshot.metadata is None:
        return None
    about: dict[str, Any] = jsonable(snapshot.metadata)
    return {**about, "thread_id": snapshot.config.get("configurable", {}).get("thread_id")}


def _task(task: PregelTask) -> dict[str, Any]:
    is_told_whole = isinstance(task.state, StateSnapshot)
    return {
        "id": task.id,
        "name": task.name,
        "path": jsonable(task.path),
        "error": _kind_of(task.error),
        "interrupts": [question(each) for each in task.interrupts],
        "checkpoint": None if is_told_whole else checkpoint_named(cast("RunnableConfig | None", task.state)),
        "state": told(task.state) if isinstance(task.state, StateSnapshot) else None,
        "result": jsonable(task.result),
    }


def _kind_of(error: Any) -> str | None:
    """An exception by its class alone (a checkpoint keeps it as its `repr`): what it says may be meant for nobody's eyes."""
    if error is None:
        return None
    return type(error).__name__ if isinstance(error, BaseException) else str(error).partition("(")[0]
