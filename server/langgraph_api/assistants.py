"""The assistants' door: graphs under names, with configurations, in versions; and what a graph looks like."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, jsonify

from server.accounts.who import me
from server.agents import actions, assistants
from server.agents.assistants import Order, Wanted
from server.agents.models import Assistant, AssistantVersion
from server.kit.asking import ask
from server.kit.db import rollback
from server.kit.errors import Conflict, Invalid, NotFound
from server.kit.http import body, query
from server.langgraph_api.assistants_schemas import (
    AssistantShape,
    AssistantVersionShape,
    ChangedAssistant,
    Count,
    CountedAssistants,
    DeleteAssistant,
    DrawGraph,
    Drawing,
    GraphSchemas,
    GraphSubgraphs,
    LatestVersion,
    ListSubgraphs,
    ListVersions,
    NewAssistant,
    Nothing,
    SearchAssistants,
)
from server.langgraph_api.dialect import answers, new_door, paged, uuid_or_refuse
from server.langgraph_api.who import allowed, filters, passes
from server.runs.threads import actions as threads

__all__ = ["door"]

door = new_door("assistants")

Fields = dict[str, Any]


@door.post("/assistants")
@allowed("assistants", "create")
@body(NewAssistant)
@answers(AssistantShape)
def create_assistant(fields: Fields) -> Response:
    """Create an assistant: a graph under a name, with a configuration.

    Refused: 400 `Cannot specify both configurable and context. Prefer setting context alone.`, 404 the graph is not known,
    409 the id is taken.
    """
    named = fields.pop("assistant_id", None)
    known = uuid_or_refuse(named, "assistant") if named is not None else None
    keep_existing = fields.pop("if_exists") == "do_nothing"
    made = actions.create(me().id, assistant_id=known, keep_existing=keep_existing, about=fields.pop("metadata", None), **fields)
    if keep_existing and not passes(made.about):
        raise Conflict(f"Assistant {made.id} already exists")
    return jsonify(_assistant(made))


@door.post("/assistants/search")
@allowed("assistants", "search")
@body(SearchAssistants)
@answers(AssistantShape, many=True)
def search_assistants(fields: Fields) -> Response:
    """Search assistants: your own and the system's, the newest first.

    `X-Pagination-Total` says how many there are, `X-Pagination-Next` where the next page begins.
    Refused: 404 the graph is not known.
    """
    limit, offset = fields["limit"], fields["offset"]
    order = Order(fields["sort_by"], is_descending=fields["sort_order"] == "desc")
    found, total = actions.search(me().id, _wanted(fields), order, limit=limit, offset=offset)
    return paged(jsonify([_selected(each, fields.get("select")) for each in found]), total=total, offset=offset, limit=limit)


@door.post("/assistants/count")
@allowed("assistants", "search")
@body(CountedAssistants)
@answers(Count)
def count_assistants(fields: Fields) -> Response:
    """Count assistants. Refused: 404 the graph is not known."""
    return jsonify(actions.count(me().id, _wanted(fields)))


@door.get("/assistants/<assistant_id>")
@allowed("assistants", "read")
@answers(AssistantShape)
def show_assistant(assistant_id: str) -> Response:
    """Show an assistant. Refused: 404 there is none of that id, 422 the id is no UUID."""
    return jsonify(_assistant(_shown(assistant_id)))


@door.patch("/assistants/<assistant_id>")
@allowed("assistants", "update")
@body(ChangedAssistant)
@answers(AssistantShape)
def change_assistant(fields: Fields, assistant_id: str) -> Response:
    """Change an assistant, as a new version of it.

    Refused: 400 `Cannot specify both configurable and context. Prefer setting context alone.`, 403 it is a graph's own,
    404 it or the graph is not known.
    """
    known = _changeable(assistant_id)
    return jsonify(_assistant(actions.change(me().id, known, about=fields.pop("metadata", None), **fields)))


@door.delete("/assistants/<assistant_id>")
@allowed("assistants", "delete")
@query(DeleteAssistant)
@answers(Nothing)
def delete_assistant(fields: Fields, assistant_id: str) -> Response:
    """Delete an assistant, with its versions and, if you say so, the threads that it worked on.

    Refused: 403 it is a graph's own, 404 there is none of that id.
    """
    known = _changeable(assistant_id)
    if fields["delete_threads"]:
        threads.delete_of_assistant(me().id, known)
    actions.delete(me().id, known)
    return Response(status=204)


@door.post("/assistants/<assistant_id>/versions")
@allowed("assistants", "read")
@body(ListVersions)
@answers(AssistantVersionShape, many=True)
def list_versions(fields: Fields, assistant_id: str) -> Response:
    """List the versions of an assistant, the newest first. Refused: 404 there is none of that id."""
    found = assistants.versions(_shown(assistant_id), fields.get("metadata") or {}, limit=fields["limit"], offset=fields["offset"])
    return jsonify([_version(each) for each in found])


@door.post("/assistants/<assistant_id>/latest")
@allowed("assistants", "update")
@body(LatestVersion)
@answers(AssistantShape)
def set_latest_version(fields: Fields, assistant_id: str) -> Response:
    """Put an earlier version of an assistant in force again.

    Refused: 403 it is a graph's own, 404 it or the version is not known.
    """
    return jsonify(_assistant(actions.set_latest(me().id, _changeable(assistant_id), fields["version"])))


# -- what a graph looks like -------------------------------------------------------------------------------------------


@door.get("/assistants/<assistant_id>/graph")
@allowed("assistants", "read")
@query(DrawGraph)
@answers(Drawing)
def draw_graph(fields: Fields, assistant_id: str) -> Response:
    """Draw an assistant's graph: its nodes and edges. The graph's own name may stand for the id.

    Refused: 404 there is none of that id, 409 the graph cannot be opened, 503 no worker answers.
    """
    levels = _levels(fields["xray"])
    return jsonify(_asked("assistants.graph", _there(assistants.resolve(me().id, assistant_id)), xray=levels))


@door.get("/assistants/<assistant_id>/schemas")
@allowed("assistants", "read")
@answers(GraphSchemas)
def show_schemas(assistant_id: str) -> Response:
    """Show the schemas of an assistant's graph.

    Refused: 404 there is none of that id, 422 the id is no UUID, 409 the graph cannot be opened, 503 no worker answers.
    """
    return jsonify(_asked("assistants.schemas", _shown(assistant_id)))


@door.get("/assistants/<assistant_id>/subgraphs")
@allowed("assistants", "read")
@query(ListSubgraphs)
@answers(GraphSubgraphs)
def list_subgraphs(fields: Fields, assistant_id: str) -> Response:
    """List the subgraphs of an assistant's graph, with their schemas.

    Refused: 404 there is none of that id, 409 the graph cannot be opened, 503 no worker answers.
    """
    return jsonify(_asked("assistants.subgraphs", _shown(assistant_id), namespace=None, recurse=fields["recurse"]))


@door.get("/assistants/<assistant_id>/subgraphs/<namespace>")
@allowed("assistants", "read")
@query(ListSubgraphs)
@answers(GraphSubgraphs)
def show_subgraph(fields: Fields, assistant_id: str, namespace: str) -> Response:
    """Show one subgraph of an assistant's graph; one inside another, `child|grandchild`, with `recurse`.

    Refused: 404 there is no assistant of that id, 409 the graph cannot be opened, 503 no worker answers.
    """
    return jsonify(_asked("assistants.subgraphs", _shown(assistant_id), namespace=namespace, recurse=fields["recurse"]))


# -- from the wire and to it -------------------------------------------------------------------------------------------


def _shown(assistant_id: str) -> Assistant:
    return _there(actions.show(me().id, uuid_or_refuse(assistant_id, "assistant")))


def _changeable(assistant_id: str) -> uuid.UUID:
    """The id of an assistant that this request may change. Raises NotFound, SystemAssistant, Invalid."""
    return _there(actions.changeable(me().id, uuid_or_refuse(assistant_id, "assistant"))).id


def _there(assistant: Assistant) -> Assistant:
    """The assistant, if the operator's handlers let this request see it. Raises NotFound."""
    if not passes(assistant.about):
        raise NotFound(f"Assistant {assistant.id} not found")
    return assistant


def _wanted(fields: Fields) -> Wanted:
    return Wanted(fields.get("graph_id"), fields.get("name"), fields.get("metadata") or {}, filters() or {})


def _levels(xray: str) -> int | bool:
    """How many levels of subgraphs to draw; True for all of them."""
    if xray.lower() in ("", "true", "false"):
        return xray.lower() == "true"
    if not xray.isdecimal() or not 1 <= int(xray[:10]) <= 100:
        raise Invalid("Invalid xray value")
    return int(xray)


def _asked(question: str, assistant: Assistant, **more: Any) -> Any:
    """What a worker answers about an assistant's graph; no transaction stays open meanwhile."""
    facts = {"graph_id": assistant.graph_id, "config": assistant.config, "context": assistant.context, **more}
    rollback()
    return ask(question, facts)


def _assistant(assistant: Assistant) -> Fields:
    return {
        "assistant_id": assistant.id,
        "graph_id": assistant.graph_id,
        "config": assistant.config,
        "context": assistant.context,
        "metadata": assistant.about,
        "name": assistant.name,
        "created_at": assistant.created_at,
        "updated_at": assistant.updated_at,
        "version": assistant.version,
        "description": assistant.description,
    }


def _selected(assistant: Assistant, names: list[str] | None) -> Fields:
    rendered = _assistant(assistant)
    return {name: value for name, value in rendered.items() if not names or name in names}


def _version(version: AssistantVersion) -> Fields:
    return {
        "assistant_id": version.assistant_id,
        "version": version.version,
        "graph_id": version.graph_id,
        "config": version.config,
        "context": version.context,
        "metadata": version.about,
        "created_at": version.created_at,
        "name": version.name,
        "description": version.description,
    }
