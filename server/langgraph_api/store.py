"""The door of long-term memory: items of the signed-in user, in namespaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify
from marshmallow import Schema

from server.accounts.who import me
from server.agents.memory.actions import carry_out, lifetimes
from server.engine.recall import Find, Forget, Get, Namespaces, Op, Put, Remembered
from server.kit.clock import iso
from server.kit.errors import Refusal
from server.kit.http import body, describe, query
from server.langgraph_api.assistants_schemas import Nothing
from server.langgraph_api.dialect import new_door
from server.langgraph_api.store_schemas import (
    DeleteItem,
    FoundItems,
    GetItem,
    ItemShape,
    ListNamespaces,
    NamespacesShape,
    PutItem,
    SearchItems,
)
from server.langgraph_api.who import allowed

__all__ = ["door"]

door = new_door("store")

NAMESPACES_AT_ONCE = 100
ITEMS_AT_ONCE = 10

Fields = dict[str, Any]
View = Callable[..., Any]


def answers(shape: type[Schema]) -> Callable[[View], View]:
    """Say what a view answers with, which it renders itself."""
    return lambda view: describe(view, answer=shape)


@door.put("/store/items")
@allowed("store", "put")
@body(PutItem)
@answers(Nothing)
def put_item(fields: Fields) -> tuple[str, int]:
    """Remember a value under a key, in the place of what was there.

    Refused: 400 for no namespace, 413 for a value of more than 1 MiB, 422 for a label that is empty or has a full stop.
    """
    ttl = lifetimes().default_minutes if fields["ttl"] is None else fields["ttl"]
    _one(Put(tuple(fields["namespace"]), fields["key"], fields["value"], fields["index"], ttl))
    return "", 204


@door.get("/store/items")
@allowed("store", "get")
@query(GetItem)
@answers(ItemShape)
def get_item(fields: Fields) -> Response:
    """The item under a key; null where there is none. Refused: 400 without a key."""
    if not fields["key"]:
        raise Refusal("Key is required")
    item = _one(Get(tuple(fields["namespace"].split(".")), fields["key"], _refreshes(fields)))
    return jsonify(None if item is None else _rendered(item))


@door.delete("/store/items")
@allowed("store", "delete")
@body(DeleteItem)
@answers(Nothing)
def delete_item(fields: Fields) -> tuple[str, int]:
    """Forget an item. One that is not there is no error."""
    _one(Forget(tuple(fields["namespace"] or ()), fields["key"]))
    return "", 204


@door.post("/store/items/search")
@allowed("store", "search")
@body(SearchItems)
@answers(FoundItems)
def search_items(fields: Fields) -> dict[str, Any]:
    """The items below a namespace, by filter; with a query, where the configuration has `store.index`, the nearest in meaning first.

    Refused: 400 for an operator that is none, 422 `search_too_wide` when so many items cannot be looked through in time.
    """
    found = _one(
        Find(
            tuple(fields["namespace_prefix"] or ()),
            fields["query"] or None,
            fields["filter"] or {},
            fields["limit"] or ITEMS_AT_ONCE,
            fields["offset"] or 0,
            _refreshes(fields),
        )
    )
    return {"items": [{**_rendered(item), "score": item.score} for item in found]}


@door.post("/store/namespaces")
@allowed("store", "list_namespaces")
@body(ListNamespaces)
@answers(NamespacesShape)
def list_namespaces(fields: Fields) -> dict[str, Any]:
    """The namespaces that hold items, in order."""
    limit = NAMESPACES_AT_ONCE if fields["limit"] is None else fields["limit"]
    asked = Namespaces(_ends(fields["prefix"]), _ends(fields["suffix"]), fields["max_depth"], limit, fields["offset"] or 0)
    return {"namespaces": _one(asked)}


def _one(op: Op) -> Any:
    return carry_out(me().id, [op])[0]


def _ends(labels: list[str] | None) -> tuple[tuple[str, ...], ...]:
    return (tuple(labels),) if labels else ()


def _refreshes(fields: Fields) -> bool:
    asked = fields["refresh_ttl"]
    return lifetimes().refreshes if asked is None else bool(asked)


def _rendered(item: Remembered) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": iso(item.created_at),
        "updated_at": iso(item.updated_at),
    }
    if item.expires_at is not None:
        rendered |= {"ttl": item.ttl_minutes, "expires_at": iso(item.expires_at)}
    return rendered
