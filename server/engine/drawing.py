"""What a graph looks like from outside: its nodes and edges, its subgraphs, and the JSON schemas of what it takes, gives and keeps."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired

import orjson
import typing_extensions
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from pydantic import TypeAdapter, create_model
from typing_extensions import is_typeddict

from server.engine.graphs import AgentBroken, Graph, opened_graph
from server.engine.job import AgentSource

__all__ = ["Look", "look"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

# The name that a compiled graph has as long as nobody gives it one.
NAMELESS = "LangGraph"


@dataclass(frozen=True)
class Look:
    """What is to be known of an agent's graph.

    what: graph, schemas or subgraphs.
    config, context: an assistant's; a factory may build another graph for them.
    xray: how many levels of subgraphs are drawn instead of their node; True for all.
    namespace: one subgraph; None for all. recurse: also those inside subgraphs.
    """

    source: AgentSource
    what: str
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    xray: int | bool = False
    namespace: str | None = None
    recurse: bool = False


async def look(asked: Look) -> Json:
    """What is asked, in JSON's types. Raises AgentBroken, and what a factory raises."""
    config: RunnableConfig = {**asked.config}  # type: ignore[typeddict-item]
    config["configurable"] = {**asked.context, **config.get("configurable", {})}
    try:
        async with opened_graph(asked.source, config, access="assistants.read", context=dict(asked.context)) as graph:
            return await asyncio.to_thread(lambda: _plain(LOOKS[asked.what](graph, asked)))
    except (SystemExit, KeyboardInterrupt) as error:  # of the agent's own code; the process goes on
        raise AgentBroken(f"{asked.source.agent_id}: {type(error).__name__}") from error


def _drawn(graph: Graph, asked: Look) -> Json:
    drawn = graph.get_graph(xray=asked.xray).to_json()
    for node in drawn["nodes"]:
        if isinstance(node.get("data"), dict):
            node["data"].pop("id", None)  # where LangChain keeps the node's class
    return drawn


def _schemas(graph: Graph, asked: Look) -> Json:
    agent_id = asked.source.agent_id
    return {"graph_id": agent_id, **_schemas_of(graph.copy({"name": agent_id}) if graph.name == NAMELESS else graph)}


def _subgraphs(graph: Graph, asked: Look) -> Json:
    found = graph.get_subgraphs(namespace=asked.namespace, recurse=asked.recurse)
    return {namespace: _schemas_of(each) for namespace, each in found if isinstance(each, Pregel)}


LOOKS: dict[str, Callable[[Graph, Look], Json]] = {"graph": _drawn, "schemas": _schemas, "subgraphs": _subgraphs}


def _plain(found: Json) -> Json:
    """The same in JSON's types; an agent's own values, as in a node's metadata, as text."""
    plain: Json = orjson.loads(orjson.dumps(found, default=str, option=orjson.OPT_NON_STR_KEYS))
    return plain


# -- schemas -----------------------------------------------------------------------------------------------------------


def _schemas_of(graph: Graph) -> Json:
    builder = getattr(graph, "builder", None)
    context = _tried(lambda: _schema(graph.context_schema, graph.get_context_jsonschema))
    return {
        "input_schema": _tried(lambda: _schema(getattr(builder, "input_schema", None), graph.get_input_jsonschema)),
        "output_schema": _tried(lambda: _schema(getattr(builder, "output_schema", None), graph.get_output_jsonschema)),
        "state_schema": _tried(lambda: _state_schema(graph)),
        "config_schema": context or {},
        "context_schema": context,
    }


def _tried(made: Callable[[], Json | None]) -> Json | None:
    """A schema; None where one of the agent's own types has none."""
    try:
        return made()
    except Exception as error:  # an agent's own types may raise anything
        log.info("agent.no_schema", extra={"facts": {"kind": type(error).__name__}})
        return None


def _schema(declared: Any, graphs_own: Callable[[], Json | None]) -> Json | None:
    """The schema of a declared type. Pydantic reads a TypedDict of `typing` only from Python 3.12 on."""
    if sys.version_info < (3, 12) and is_typeddict(declared) and type(declared).__module__ == "typing":
        return TypeAdapter(_readable(declared)).json_schema()
    return graphs_own()


def _readable(declared: Any) -> Any:
    """The same TypedDict, made by `typing_extensions`."""
    hints = typing_extensions.get_type_hints(declared, include_extras=True)
    fields = {name: hint if name in declared.__required_keys__ else NotRequired[hint] for name, hint in hints.items()}
    return typing_extensions.TypedDict(declared.__name__, fields)  # type: ignore[operator]


def _state_schema(graph: Graph) -> Json:
    """All that the graph keeps, whichever node may see it."""
    channels = {name: graph.channels[name] for name in graph.stream_channels_list}
    fields: Any = {name: (getattr(channel, "UpdateType", Any), None) for name, channel in channels.items()}
    schema: Json = create_model(graph.get_name("State"), **fields).model_json_schema()
    return schema
