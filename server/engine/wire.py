"""An agent's values as JSON, in the shapes that clients of LangGraph know."""

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
from langgraph.types import Send

from server.engine.people import Person

__all__ = ["jsonable", "to_json"]

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
# How deep a value may be nested before it is cut off; JSON readers have such a limit too.
MAX_DEPTH = 200


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


def _shape(value: Any) -> Any:
    """What stands for a value that JSON does not know. Source: the answers of LangGraph's own server."""
    if hasattr(value, "model_dump") and callable(value.model_dump):
        return value.model_dump()
    if isinstance(value, Person):
        return value.dict()
    if isinstance(value, Send):
        return {"node": value.node, "arg": value.arg}
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(getattr(value, "public_message", ""))}
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
