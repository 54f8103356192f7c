"""What an operator's handler is shown of a request, and what is taken back of it. Pure.

A handler gets `value`: the fields of the request as the ecosystem's handlers expect them, which it may change. What it has changed is
put where the client's own fields were. Source: the types in `langgraph_sdk.auth.types`, and what LangGraph's own server shows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

__all__ = ["matches", "restored", "shown"]

Fields = dict[str, Any]

# A graph's own assistant has an id that is made from the graph's.
GRAPHS = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
# What a handler finds there although the client has not sent it.
DEFAULTS: dict[tuple[str, str], Fields] = {
    ("threads", "create"): {"metadata": {}, "if_exists": "raise"},
    ("threads", "update"): {"metadata": {}},
    ("threads", "search"): {"metadata": {}, "values": {}, "status": None, "limit": 10, "offset": 0},
    ("threads", "create_run"): {
        "thread_id": None,
        "assistant_id": None,
        "status": "pending",
        "metadata": {},
        "multitask_strategy": "enqueue",
        "if_not_exists": "reject",
        "after_seconds": 0,
    },
    ("assistants", "create"): {"metadata": {}, "config": {}, "context": None},
    ("assistants", "update"): {"metadata": {}},
    ("assistants", "search"): {"graph_id": None, "metadata": {}, "limit": 10, "offset": 0},
    ("crons", "create"): {"metadata": {}, "thread_id": None, "end_time": None},
    ("crons", "update"): {"metadata": {}},
    ("crons", "search"): {"assistant_id": None, "thread_id": None, "metadata": {}, "limit": 10, "offset": 0},
    ("store", "put"): {"index": None, "ttl": None},
    ("store", "get"): {"refresh_ttl": None},
    ("store", "search"): {"namespace": None, "filter": None, "limit": 10, "offset": 0, "query": None, "refresh_ttl": None},
    ("store", "list_namespaces"): {"namespace": None, "suffix": None, "max_depth": None, "limit": 100, "offset": 0},
}
# What this dialect calls the field that a handler knows as `namespace`.
NAMESPACES = {"search": "namespace_prefix", "list_namespaces": "prefix"}
# The fields of a run and of a cron that stand by themselves; the others are what is to be carried out.
RUN_FIELDS = frozenset({*DEFAULTS["threads", "create_run"], "run_id", "prevent_insert_if_inflight", "action"})
CRON_FIELDS = frozenset({"schedule", "cron_id", "thread_id", "user_id", "end_time", "metadata"})


def shown(resource: str, action: str, fields: Mapping[str, Any], path: Mapping[str, Any]) -> Fields:
    """The `value` of a request with these fields (of its body, or of its query) and parts of its path."""
    own = dict(fields)
    if resource == "store":
        own = _with_namespace(action, own)
    elif action == "create_run":
        own = _parted(own, RUN_FIELDS, "kwargs")
        own["assistant_id"] = _assistant_id(own.get("assistant_id"))
    elif resource == "crons" and action in ("create", "update"):
        own = {**{name: value for name, value in own.items() if name in CRON_FIELDS}, "payload": dict(fields)}
    default = {name: dict(value) if isinstance(value, dict) else value for name, value in DEFAULTS.get((resource, action), {}).items()}
    return {**default, **{name: value for name, value in own.items() if value is not None or name not in default}, **path}


def restored(resource: str, action: str, fields: Mapping[str, Any], path: Mapping[str, Any], left: Mapping[str, Any]) -> Fields:
    """The fields of the request after a handler has left its `value` as `left`. What it has not touched is as it was."""
    before = shown(resource, action, fields, path)
    changed = {name: value for name, value in left.items() if name not in path and (name not in before or before[name] != value)}
    gone = {name for name in before if name not in left and name not in path}
    kept = {name: value for name, value in fields.items() if name not in gone}
    for nested in ("kwargs", "payload"):
        if isinstance(changed.get(nested), dict) and nested in before:
            inner = changed.pop(nested)
            kept = {name: value for name, value in kept.items() if name in inner or name not in before[nested]} | inner
    if resource == "store" and "namespace" in changed:
        changed[NAMESPACES.get(action, "namespace")] = changed.pop("namespace")
    return {**kept, **changed}


def matches(metadata: Mapping[str, Any] | None, must: Mapping[str, Any] | None) -> bool:
    """Whether metadata contains what it must: each name with this value, a list with at least these parts."""
    for name, wanted in (must or {}).items():
        value = (metadata or {}).get(name, ...)
        if isinstance(wanted, list):
            if not isinstance(value, list) or not all(part in value for part in wanted):
                return False
        elif type(value) is not type(wanted) or value != wanted:
            return False
    return True


def _with_namespace(action: str, fields: Fields) -> Fields:
    name = NAMESPACES.get(action, "namespace")
    if name not in fields:
        return fields
    namespace = fields.pop(name)
    if isinstance(namespace, str):
        namespace = namespace.split(".") if namespace else []
    return {**fields, "namespace": namespace}


def _parted(fields: Fields, outside: frozenset[str], name: str) -> Fields:
    """The fields with those that do not stand by themselves under one name."""
    inner = {each: value for each, value in fields.items() if each not in outside}
    return {**{each: value for each, value in fields.items() if each in outside}, name: inner}


def _assistant_id(named: Any) -> Any:
    """The id of an assistant that may be named by its graph."""
    if not isinstance(named, str):
        return named
    try:
        return str(uuid.UUID(named))
    except ValueError:
        return str(uuid.uuid5(GRAPHS, named))
