"""The shapes of the assistants' door."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, INCLUDE, Schema, fields
from marshmallow.validate import OneOf, Range

__all__ = [
    "AssistantShape",
    "AssistantVersionShape",
    "ChangedAssistant",
    "ConfigShape",
    "Count",
    "CountedAssistants",
    "DeleteAssistant",
    "DrawGraph",
    "Drawing",
    "GraphSchemas",
    "GraphSubgraphs",
    "LatestVersion",
    "ListSubgraphs",
    "ListVersions",
    "NewAssistant",
    "Nothing",
    "SearchAssistants",
]

MAX_PAGE = 1000
MAX_INTEGER = 2**31 - 1

FIELDS = ("assistant_id", "graph_id", "name", "description", "config", "context", "created_at", "updated_at", "metadata", "version")
SORTED_BY = ("assistant_id", "created_at", "updated_at", "name", "graph_id")


class Lenient(Schema):
    """A request whose unknown fields are passed over."""

    class Meta:
        unknown = EXCLUDE


class ConfigShape(Schema):
    """A run's configuration. Keys that are not named here are kept."""

    class Meta:
        unknown = INCLUDE

    tags = fields.List(fields.String())
    recursion_limit = fields.Integer(strict=True)
    configurable = fields.Dict(keys=fields.String())


def _json_object(text: str) -> fields.Dict:
    return fields.Dict(keys=fields.String(), metadata={"description": text})


def _number(least: int, most: int, **options: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=Range(least, most), **options)


# -- what the routes take ----------------------------------------------------------------------------------------------


class NewAssistant(Lenient):
    """An assistant to be made."""

    graph_id = fields.String(required=True)
    assistant_id = fields.String(metadata={"description": "A UUID; made by the server where it is missing."})
    name = fields.String(load_default="")
    description = fields.String()
    config = fields.Nested(ConfigShape)
    context = _json_object("What the graph's context is made of.")
    metadata = _json_object("Anything; can be searched for.")
    if_exists = fields.String(validate=OneOf(("raise", "do_nothing")), load_default="raise")


class ChangedAssistant(Lenient):
    """What is to be changed; metadata are merged."""

    graph_id = fields.String()
    name = fields.String()
    description = fields.String()
    config = fields.Nested(ConfigShape)
    context = _json_object("What the graph's context is made of.")
    metadata = _json_object("Added to what is there.")


class CountedAssistants(Lenient):
    """Which assistants."""

    graph_id = fields.String()
    name = fields.String(metadata={"description": "A part of it, in any case."})
    metadata = _json_object("Keys and values that it has.")


class SearchAssistants(CountedAssistants):
    """Which assistants, how many, and what of them."""

    limit = _number(1, MAX_PAGE, load_default=10)
    offset = _number(0, MAX_INTEGER, load_default=0)
    sort_by = fields.String(validate=OneOf(SORTED_BY), load_default="created_at")
    sort_order = fields.String(validate=OneOf(("asc", "desc")), load_default="desc")
    select = fields.List(fields.String(validate=OneOf(FIELDS)))


class ListVersions(Lenient):
    """Which versions."""

    metadata = _json_object("Keys and values that they have.")
    limit = _number(1, MAX_PAGE, load_default=10)
    offset = _number(0, MAX_INTEGER, load_default=0)


class LatestVersion(Lenient):
    """The version to be in force."""

    version = _number(1, MAX_INTEGER, required=True)


class DeleteAssistant(Lenient):
    """What goes with it."""

    delete_threads = fields.Boolean(load_default=False, metadata={"description": "The threads whose runs it carried out, too."})


class DrawGraph(Lenient):
    """How deep to draw."""

    xray = fields.String(load_default="false", metadata={"description": "`true` for all subgraphs, or a number of levels."})


class ListSubgraphs(Lenient):
    """How deep to look."""

    recurse = fields.Boolean(load_default=False)


# -- what they answer --------------------------------------------------------------------------------------------------


class AssistantShape(Schema):
    """An assistant."""

    assistant_id = fields.UUID(required=True)
    graph_id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    config = fields.Dict(required=True)
    context = fields.Dict(required=True)
    metadata = fields.Dict(required=True)
    version = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)


class AssistantVersionShape(Schema):
    """An assistant as it was in one of its versions."""

    assistant_id = fields.UUID(required=True)
    version = fields.Integer(required=True)
    graph_id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    config = fields.Dict(required=True)
    context = fields.Dict(required=True)
    metadata = fields.Dict(required=True)
    created_at = fields.DateTime(required=True)


class Count(Schema):
    """How many there are, as a bare number."""


class Nothing(Schema):
    """It is done."""

    status = 204


class Drawing(Schema):
    """A graph's nodes and edges."""

    nodes = fields.List(fields.Dict(), required=True)
    edges = fields.List(fields.Dict(), required=True)


class GraphSchemas(Schema):
    """JSON schemas of what a graph takes, gives, keeps, and is configured by; null where it says nothing of it."""

    graph_id = fields.String()
    input_schema = fields.Dict(required=True, allow_none=True)
    output_schema = fields.Dict(required=True, allow_none=True)
    state_schema = fields.Dict(required=True, allow_none=True)
    config_schema = fields.Dict(required=True, allow_none=True)
    context_schema = fields.Dict(required=True, allow_none=True)


class GraphSubgraphs(Schema):
    """The schemas of each subgraph, as of a graph, by its namespace: `child`, `child|grandchild`."""
