"""Carrying out one attempt at a run: open the graph, stream it, pass on what it says, and tell how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from server.engine import protocol
from server.engine.checkpoints import Checkpoints
from server.engine.failures import failed, problem, too_large
from server.engine.graphs import opened_graph, own_types
from server.engine.job import Emit, Job, Outcome
from server.engine.memory import RunStore
from server.engine.programs import Program
from server.engine.state import KnownAs, RunSaver, StateRoom
from server.engine.statewriter import LeaseLost
from server.engine.turns import STOPPED, TooMuch, Turn

__all__ = ["Reason", "execute"]

FULL_PAUSE_S = 0.01

Graph = Pregel[Any, Any, Any, Any]
Part = tuple[tuple[str, ...], str, Any]


class Reason:
    """Why an attempt is being stopped, if it is; set before its task is cancelled (LangGraph loses the reason).

    is_given_up: it is to end without an outcome, because its lease is lost or goes to another worker.
    """

    def __init__(self) -> None:
        self.code: str | None = None
        self.is_given_up = False


class Listener(Protocol):
    """Who hears what a graph says: a turn of a chat, or a program's run."""

    modes: Any
    subgraphs: bool
    durability: Any
    interrupting: dict[str, Any]

    def config(self) -> RunnableConfig: ...

    async def beginning(self, graph: Graph, config: RunnableConfig) -> tuple[Any, RunnableConfig]: ...

    def hear(self, namespace: tuple[str, ...], mode: str, part: Any) -> None: ...

    async def outcome(self, graph: Graph, config: RunnableConfig) -> Outcome: ...

    def left(self, outcome: Outcome) -> Outcome: ...


async def execute(job: Job, emit: Emit, room: StateRoom, store: RunStore, reason: Reason) -> Outcome:
    """Carry out the job; how it ended. Raises CancelledError when it was given up, LeaseLost, and nothing else."""
    listener: Listener = Turn(job, emit) if job.options is None else Program(job, job.options, emit)
    try:
        async with asyncio.timeout(job.timeout_s) as limit:
            return await _carry_out(job, listener, emit, room, store)
    except TimeoutError as error:
        if not limit.expired():
            return listener.left(failed(job, error))
        message = f"The run took longer than {job.timeout_s:g} s."
        return listener.left(Outcome("timeout", error=problem("timeout", message, retryable=True)))
    except asyncio.CancelledError as error:
        if reason.is_given_up:
            raise
        if reason.code is None:  # the agent's own code has cancelled itself
            return listener.left(failed(job, error))
        return listener.left(Outcome("cancelled", error=problem(reason.code, "The run was cancelled.")))
    except LeaseLost:
        raise
    except TooMuch:
        return too_large(job)
    except BaseException as error:  # sys.exit in a node must not end its neighbours' loop
        return listener.left(failed(job, error))


async def _carry_out(job: Job, listener: Listener, emit: Emit, room: StateRoom, store: RunStore) -> Outcome:
    config = listener.config()
    known_as = KnownAs(job.options.thread, job.thread_id) if job.options else None
    user = config["configurable"].get("langgraph_auth_user")
    async with opened_graph(job.agent, config, store=store, user=user, context=job.context) as opened:
        saver = RunSaver(
            room,
            job.run_id,
            job.attempt,
            is_fresh=job.is_fresh,
            types=own_types(job.agent),
            known_as=known_as,
            waits=listener.durability == "sync",
        )
        graph = opened.copy({"checkpointer": saver, "store": store})
        try:
            if job.options is not None and job.options.rolled_back:
                await room.do(Checkpoints(room).taken_back(job.thread_id, job.options.rolled_back))
            beginning, config = await listener.beginning(graph, config)
            async with aclosing(_parts(job, listener, graph, beginning, config)) as spoken:  # type: ignore[type-var]
                async for namespace, mode, part in spoken:
                    listener.hear(namespace, mode, part)
                    while emit.is_full:  # noqa: ASYNC110 (its writer is a thread and rings no loop, so it is looked at)
                        await asyncio.sleep(FULL_PAUSE_S)
            return await listener.outcome(graph, config)
        finally:
            await saver.settled()


async def _parts(job: Job, listener: Listener, graph: Graph, beginning: Any, config: RunnableConfig) -> AsyncIterator[Part]:
    """What the graph says, as (namespace, mode, part)."""
    if beginning is STOPPED:
        return
    context = _context(graph, job.context)
    if job.options is not None and job.options.protocol == "v3":
        telling = protocol.events(graph, beginning, config, context, job.options)
        yield (), "telling", telling
        async for told in telling:
            yield (), "v3", told
        return
    how: dict[str, Any] = {
        "context": context,
        "stream_mode": listener.modes,
        "subgraphs": listener.subgraphs,
        "durability": listener.durability,
        **listener.interrupting,
    }
    if job.options is not None and "events" in job.options.modes:
        async for each in _with_events(graph, beginning, config, how):
            yield each
        return
    streamed = graph.astream(beginning, config, **how)
    async with aclosing(streamed):  # type: ignore[type-var]
        async for chunk in streamed:
            yield _part(chunk, subgraphs=listener.subgraphs)


async def _with_events(graph: Graph, beginning: Any, config: RunnableConfig, how: Mapping[str, Any]) -> AsyncIterator[Part]:
    """The same, among LangChain's own events; those that carry the graph's parts are told as parts."""
    root: str | None = None
    async with aclosing(graph.astream_events(beginning, config, version="v2", **how)) as events:  # type: ignore[type-var]
        async for event in events:
            root = root or event["run_id"]
            if event["run_id"] == root and event["event"] == "on_chain_stream":
                yield _part(event["data"]["chunk"], subgraphs=how["subgraphs"])
            else:
                yield (), "events", event


def _part(chunk: Any, *, subgraphs: bool) -> Part:
    return chunk if subgraphs else ((), *chunk)


def _context(graph: Graph, context: Mapping[str, Any]) -> Any:
    """The context as the graph declares it: only the fields of a class, all of it where none is declared."""
    schema = graph.context_schema
    if getattr(schema, "__annotations__", None) is None:
        return dict(context)
    fields = {name for each in getattr(schema, "__mro__", (schema,)) for name in getattr(each, "__annotations__", {})}
    return {name: value for name, value in context.items() if name in fields}
