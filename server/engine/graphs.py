"""From the place of an agent's code to a graph that can be run, whatever stands there.

A compiled graph, a graph to be compiled, a runnable; or a factory, called anew each time: a function, asynchronous or not, or anything
else that can be called, that takes the config, a runtime, both or nothing, and gives one of these, something to await, or a context
manager that is left when the graph is no longer needed.

Source: https://docs.langchain.com/langsmith/graph-rebuild
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import typing
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk import runtime as sdk
from pydantic import BaseModel

from server.engine.chains import around
from server.engine.imports import AgentBroken, forget, open_object, own_types
from server.engine.job import AgentSource
from server.engine.people import Person

__all__ = ["Access", "AgentBroken", "Graph", "forget", "open_object", "opened_graph", "own_types"]

log = logging.getLogger(__name__)

Graph = Pregel[Any, Any, Any, Any]
# What a graph is opened for: to be run, to have its state read or written, or to be described.
Access = Literal["threads.create_run", "threads.read", "threads.update", "assistants.read"]


@dataclass(frozen=True)
class Visit:
    """What a factory may want to know of why it is called. user: as the operator's handler told it; context: of a run."""

    access: Access = "threads.create_run"
    store: BaseStore | None = None
    user: Mapping[str, Any] | Person | None = None
    context: Any = None


@asynccontextmanager
async def opened_graph(
    source: AgentSource,
    config: RunnableConfig,
    *,
    access: Access = "threads.create_run",
    store: BaseStore | None = None,
    user: Mapping[str, Any] | Person | None = None,
    context: Any = None,
) -> AsyncIterator[Graph]:
    """The compiled graph of an agent, for as long as the block lasts; a factory is called, and what it opened is closed.

    Raises AgentBroken, and whatever a factory raises.
    """
    target = await open_object(source, _compiled_if_whole)
    if isinstance(target, Pregel):
        yield target
        return
    if not callable(target):
        raise _no_graph(source, target)
    made = _called(source, target, config, Visit(access, store, user, context))
    if inspect.isawaitable(made):
        made = await made
    if not hasattr(made, "__aenter__") and not hasattr(made, "__enter__"):
        yield _compiled(source, made)
        return
    entered = await made.__aenter__() if hasattr(made, "__aenter__") else made.__enter__()
    try:
        yield _compiled(source, entered)
    except BaseException as error:
        await _leave(source, made, error)
        raise
    await _leave(source, made, None)


async def _leave(source: AgentSource, manager: Any, error: BaseException | None) -> None:
    """Leave a factory's context manager. It cannot change how the run ended: what it raises is logged, what it swallows is not."""
    told = (type(error), error, error.__traceback__) if error is not None else (None, None, None)
    try:
        if hasattr(manager, "__aexit__"):
            await manager.__aexit__(*told)
        else:
            manager.__exit__(*told)
    except Exception as raised:
        if raised is not error:
            log.warning("agent.close_failed", extra={"facts": {"agent_id": source.agent_id}}, exc_info=raised)


# -- factories ---------------------------------------------------------------------------------------------------------


def _called(source: AgentSource, factory: Any, config: RunnableConfig, visit: Visit) -> Any:
    """What a factory gives when it is called with what it asks for."""
    places: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in inspect.signature(factory).parameters.values():
        kind = _asks_for(parameter)
        if kind is None:
            if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise AgentBroken(f"{source.agent_id}: the factory's parameter {parameter.name!r} is neither a config nor a runtime")
            continue
        value = config if kind == "config" else _runtime(factory, parameter, visit)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            places.append(value)
        else:
            named[parameter.name] = value
    return factory(*places, **named)


def _asks_for(parameter: inspect.Parameter) -> Literal["config", "runtime"] | None:
    """What a parameter is for, by its annotation, else by its name; one without annotation or default is the config."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return None
    annotation = "" if parameter.annotation is parameter.empty else str(parameter.annotation)
    if "Runtime" in annotation:
        return "runtime"
    if "RunnableConfig" in annotation:
        return "config"
    if parameter.name == "runtime":
        return "runtime"
    if parameter.name == "config" or (not annotation and parameter.default is parameter.empty):
        return "config"
    return None


def _runtime(factory: Any, parameter: inspect.Parameter, visit: Visit) -> Any:
    """A `ServerRuntime` of langgraph_sdk. Its classes are constructed by servers alone, and so have no public name."""
    user = Person(visit.user) if isinstance(visit.user, Mapping) else visit.user
    store: Any = visit.store
    if visit.access != "threads.create_run":
        return sdk._ReadRuntime(access_context=visit.access, user=user, store=store)
    context = _as_declared(visit.context, _context_type(factory, parameter.name))
    return sdk._ExecutionRuntime(access_context=visit.access, user=user, store=store, context=context)


def _context_type(factory: Any, name: str) -> Any:
    """The `Ctx` of a parameter `ServerRuntime[Ctx]`; None where it cannot be known."""
    called = factory if inspect.isroutine(factory) else factory.__init__ if inspect.isclass(factory) else factory.__call__
    try:
        hint = typing.get_type_hints(inspect.unwrap(called)).get(name)
    except (NameError, TypeError, AttributeError):
        return None
    return next(iter(typing.get_args(hint)), None)


def _as_declared(context: Any, declared: Any) -> Any:
    """A run's context as an object of the declared dataclass or model; as it is for anything else."""
    if not isinstance(context, Mapping) or not isinstance(declared, type):
        return context
    if dataclasses.is_dataclass(declared):
        known = {each.name for each in dataclasses.fields(declared) if each.init}
        return declared(**{name: value for name, value in context.items() if name in known})
    return declared.model_validate(context) if issubclass(declared, BaseModel) else context


# -- graphs ------------------------------------------------------------------------------------------------------------


def _compiled_if_whole(target: Any) -> Any:
    """The graph that a variable stands for, compiled once for all runs; a factory as it is."""
    if isinstance(target, Pregel):
        return target
    if isinstance(target, StateGraph):
        return target.compile()
    return around(target) if isinstance(target, Runnable) else target


def _compiled(source: AgentSource, target: Any) -> Graph:
    graph = _compiled_if_whole(target)
    if not isinstance(graph, Pregel):
        raise _no_graph(source, target)
    return graph


def _no_graph(source: AgentSource, target: Any) -> AgentBroken:
    variable = source.graph.rpartition(":")[2]
    return AgentBroken(f"{source.agent_id}: {variable} is a {type(target).__name__}, no graph and no runnable")
