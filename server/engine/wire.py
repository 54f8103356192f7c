"""An agent's values as JSON, and its questions and checkpoints, in the shapes that clients of LangGraph know."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, Send, StateSnapshot

from server.engine.people import Person

__all__ = ["NAMES", "checkpoint_named", "jsonable", "question", "questions", "to_json"]

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
# How deep a value may be nested before it is cut off; JSON readers have such a limit too.
MAX_DEPTH = 200
# What names a checkpoint, in the order in which it is told.
NAMES = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")


def to_json(value: Any) -> bytes:
    """A value as JSON text that a database takes: no NUL characters, no halves of surrogate pairs; what JSON does not know in words."""
    try:
        told = orjson.dumps(value, default=_shape, option=OPTIONS)
    except (TypeError, ValueError, RecursionError):
        told = orjson.dumps(_plain(value), option=OPTIONS)
    return told if b"\\u0000" not in told else orjson.dumps(_plain(value), option=OPTIONS)


def jsonable(value: Any) -> Any:
    """The same as plain dicts, lists, texts and numbers."""
    return orjson.loads(to_json(value))


def checkpoint_named(config: RunnableConfig | None) -> dict[str, Any] | None:
    """What names a checkpoint, out of the config that LangGraph names it by."""
    if config is None:
        return None
    known = config.get("configurable", {})
    return {name: known[name] for name in NAMES if known.get(name) is not None}


def question(each: Interrupt) -> dict[str, Any]:
    """A question, with the schema of its answer where the agent gives one."""
    schema = getattr(each, "response_schema", None)
    shown = {"id": each.id, "value": jsonable(each.value)}
    return shown if schema is None else {**shown, "response_schema": jsonable(schema)}


def questions(snapshot: StateSnapshot) -> list[dict[str, Any]]:
    """The questions that are open, each with the task and the node that asks."""
    return [{**question(each), "task_id": task.id, "node": task.name} for task in snapshot.tasks for each in task.interrupts]


def _shape(value: Any) -> Any:
    """What stands for a value that JSON does not know. Source: the answers of LangGraph's own server."""
    if hasattr(value, "model_dump") and callable(value.model_dump):
        return value.model_dump()
    if isinstance(value, Person):
        return value.dict()
    if isinstance(value, Send):
        return {"node": value.node, "arg": value.arg}
    if isinstance(value, BaseException):
        return _failure(value)
    if isinstance(value, (set, frozenset, tuple)) or type(value).__name__ == "deque":
        return value._asdict() if hasattr(value, "_asdict") else list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (decimal.Decimal, pathlib.PurePath, re.Pattern, complex)):
        return str(value.pattern if isinstance(value, re.Pattern) else value)
    if isinstance(value, int):  # larger than 64 bits
        return str(value)
    return _described(value)


def _failure(error: BaseException) -> dict[str, str]:
    """An exception by its class; in its author's words only where they were written for clients."""
    kind = type(error).__name__
    return {"error": kind, "message": str(getattr(error, "public_message", f"The agent failed ({kind})."))}


def _described(value: Any) -> Any:
    """A value of a class of the agent's own: a class by its name, anything else as it describes itself."""
    if isinstance(value, type):
        return value.__name__
    return str(value)


def _plain(value: Any, depth: int = 0) -> Any:
    """The slow way, for values that the fast one refuses: every text is looked at, and what is nested too deep is cut off."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, Mapping):
        return {str(_plain(str(key), depth)): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, depth + 1) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
    if isinstance(value, (dt.date, dt.time, uuid.UUID)):
        return value.isoformat() if not isinstance(value, uuid.UUID) else str(value)
    return _plain(value.value if isinstance(value, enum.Enum) else _shape(value), depth + 1)
