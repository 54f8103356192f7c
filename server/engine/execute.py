"""Carrying out one attempt at a run: open the graph, stream it, say what happens, and tell how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from langchain_core.exceptions import ModelConnectionError, ModelError, ModelTimeoutError
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot

from server.engine import parts
from server.engine.graphs import AgentBroken, open_graph, own_types
from server.engine.job import Emit, Job, Outcome
from server.engine.memory import RunStore
from server.engine.state import RunSaver, StateRoom
from server.engine.statetypes import StateTypeBlocked
from server.engine.statewriter import LeaseLost

__all__ = ["Reason", "execute"]

log = logging.getLogger(__name__)

FULL_PAUSE_S = 0.01
RECURSION_LIMIT = 100

# What a client reads for an exception of a model's client, by its HTTP status. Source: the providers' error pages.
MODEL_ERRORS: dict[int, tuple[str, str, bool]] = {
    400: ("model_refused", "The model refused the request.", False),
    401: ("model_key", "The model refused the key.", False),
    403: ("model_key", "The model refused the key.", False),
    404: ("model_unknown", "The model is not known there.", False),
    429: ("model_busy", "The model has too many requests; try again later.", True),
}


@dataclass
class Reason:
    """Why an attempt is being stopped, if it is; set before its task is cancelled (LangGraph loses the reason).

    is_given_up: it is to end without an outcome, because its lease is lost or goes to another worker.
    """

    code: str | None = None
    is_given_up: bool = False


async def execute(job: Job, emit: Emit, room: StateRoom, store: RunStore, reason: Reason) -> Outcome:
    """Carry out the job; how it ended. Raises CancelledError when it was given up, LeaseLost, and nothing else."""
    try:
        async with asyncio.timeout(job.timeout_s) as limit:
            return await _carry_out(job, emit, room, store)
    except TimeoutError as error:
        if not limit.expired():
            return _failed(job, error)
        return Outcome("timeout", error=_error("timeout", f"The run took longer than {job.timeout_s:g} s.", retryable=True))
    except asyncio.CancelledError as error:
        if reason.is_given_up:
            raise
        if reason.code is None:  # the agent's own code has cancelled itself
            return _failed(job, error)
        return Outcome("cancelled", error=_error("cancelled", "The run was cancelled."))
    except LeaseLost:
        raise
    except BaseException as error:  # sys.exit in a node must not end its neighbours' loop
        return _failed(job, error)


async def _carry_out(job: Job, emit: Emit, room: StateRoom, store: RunStore) -> Outcome:
    config = _config(job)
    graph = await open_graph(job.agent, config)
    saver = RunSaver(room, job.run_id, job.attempt, is_fresh=job.is_fresh, types=own_types(job.agent))
    graph = graph.copy({"checkpointer": saver, "store": store})
    beginning = await _beginning(job, graph, config, emit)
    streamed = graph.astream(
        beginning,
        config,
        context=_context(graph, job.context),
        stream_mode=parts.MODES,
        subgraphs=True,
        durability="async",
    )
    async with aclosing(streamed):  # type: ignore[type-var]
        return await _listen(job, streamed, emit)


async def _listen(job: Job, streamed: AsyncIterator[Any], emit: Emit) -> Outcome:
    """Pass on what the graph says until it ends, and tell how it did."""
    values: Any = None
    narrator = parts.Narrator(job.run_id, job.agent.agent_id)
    interrupts: list[dict[str, Any]] = []
    async for namespace, mode, part in streamed:
        if mode == "values":
            values = values if namespace else part
        elif mode == "updates":
            interrupts += [] if namespace else parts.interrupts_in(part)
        else:
            for kind, data in narrator.tell(mode, part):
                if narrator.said_chars > job.max_output_bytes:
                    return _too_large(job)
                emit(kind, data)
        await _wait_for_room(emit)
    if interrupts:
        return _too_large(job) if len(orjson.dumps(interrupts)) > job.max_output_bytes else Outcome("interrupted", interrupts=interrupts)
    return _succeeded(job, values)


async def _wait_for_room(emit: Emit) -> None:
    """Hold the agent back while the database cannot keep up. Its writer is a thread and rings no loop, so it is looked at."""
    while emit.is_full:  # noqa: ASYNC110
        await asyncio.sleep(FULL_PAUSE_S)


def _config(job: Job) -> RunnableConfig:
    known = {name: value for name, value in job.context.items() if isinstance(value, str)}
    return {
        "configurable": {**known, "thread_id": job.thread_id},
        "metadata": {"run_id": str(job.run_id)},
        "run_name": job.agent.agent_id,
        "recursion_limit": RECURSION_LIMIT,
    }


async def _beginning(job: Job, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig, emit: Emit) -> Any:
    """What to give the graph: the input, a human's answers, or nothing where a checkpoint of this run is to be gone on from."""
    if not job.is_retry:
        return job.input
    snapshot = await graph.aget_state(config)
    is_mine = (snapshot.metadata or {}).get("run_id") == str(job.run_id)
    emit.resumed(parts.kept_message_ids(job.run_id, snapshot.values) if is_mine else [])
    if not is_mine:
        return job.input
    waiting = _asked(snapshot)
    answers = {name: value for name, value in (job.resume or {}).items() if name in waiting}
    return Command(resume=answers) if answers else None


def _asked(snapshot: StateSnapshot) -> set[str]:
    return {each.id for task in snapshot.tasks for each in task.interrupts}


def _context(graph: Pregel[Any, Any, Any, Any], context: Mapping[str, Any]) -> Any:
    """The context as the graph declares it: only the fields of a class, all of it where none is declared."""
    schema = graph.context_schema
    if getattr(schema, "__annotations__", None) is None:
        return dict(context)
    fields = {name for each in getattr(schema, "__mro__", (schema,)) for name in getattr(each, "__annotations__", {})}
    return {name: value for name, value in context.items() if name in fields}


def _succeeded(job: Job, values: Any) -> Outcome:
    output = parts.answer_in(job.run_id, values)
    if len(orjson.dumps(output)) > job.max_output_bytes:
        return _too_large(job)
    return Outcome("success", output=output)


def _too_large(job: Job) -> Outcome:
    return Outcome("error", error=_error("output_too_large", f"The answer is larger than {job.max_output_bytes} bytes."))


def _failed(job: Job, error: BaseException) -> Outcome:
    """An outcome in words for a client; what the exception says stays in the log, unless its author wrote it for clients."""
    facts = {"run_id": job.run_id, "agent_id": job.agent.agent_id, "kind": type(error).__name__}
    log.warning("agent.failed", extra={"facts": facts}, exc_info=error)
    public = getattr(error, "public_message", None)
    if isinstance(public, str):
        return Outcome("error", error=_error("agent_refused", public))
    if isinstance(error, AgentBroken):
        return Outcome("error", error=_error("agent_broken", f"The agent cannot be opened: {error}."))
    if isinstance(error, StateTypeBlocked):
        return Outcome("error", error=_error("state_type_blocked", f"The agent's state holds a type that it does not declare: {error}."))
    if isinstance(error, GraphRecursionError):
        return Outcome("error", error=_error("too_many_steps", f"The agent took more than {RECURSION_LIMIT} steps."))
    if isinstance(error, MemoryError):
        return Outcome("error", error=_error("out_of_memory", "The agent used more memory than it may."))
    return _model_failed(error) or Outcome("error", error=_error("agent_failed", f"The agent failed ({type(error).__name__})."))


def _model_failed(error: BaseException) -> Outcome | None:
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        known = MODEL_ERRORS.get(status, ("model_failed", f"The model answered with status {status}.", status >= 500))
        return Outcome("error", error=_error(known[0], known[1], retryable=known[2]))
    if isinstance(error, (ModelConnectionError, ModelTimeoutError)):
        return Outcome("error", error=_error("model_away", "The model does not answer.", retryable=True))
    if isinstance(error, ModelError):
        return Outcome("error", error=_error("model_failed", "The model failed.", retryable=bool(error.is_retryable)))
    return None


def _error(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    return {"code": code, "message": message, "retryable": retryable}
