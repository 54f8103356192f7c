"""A filter over the fields of remembered values, as a condition of the database.

    {"kind": "note"}               equal; a field that is not there counts as null
    {"author": {"name": "Ann"}}    the same within an object
    {"stars": {"$gte": 3}}         numbers with numbers, texts with texts; anything else does not match

Source: the operators of LangGraph's BaseStore (`SearchOp.filter`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from server.agents.memory.rules import encoded
from server.kit.errors import Refusal

__all__ = ["matching"]

MAX_DEPTH = 8
MAX_CONDITIONS = 64
ORDERED: dict[str, Callable[[Any, Any], Any]] = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}

Field = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]


def matching(value: Field, wanted: Mapping[str, Any]) -> Condition:
    """Whether the value has what is wanted. Raises Refusal (400) for an operator that is none, or a filter that asks too much."""
    conditions = _fields(value, wanted, MAX_DEPTH)
    if len(conditions) > MAX_CONDITIONS:
        raise Refusal(f"A filter has at most {MAX_CONDITIONS} conditions.")
    return sa.and_(sa.true(), *conditions)


def _fields(value: Field, wanted: Mapping[str, Any], depth: int) -> list[Condition]:
    if depth == 0:
        raise Refusal(f"A filter is at most {MAX_DEPTH} objects deep.")
    return [condition for name, each in wanted.items() for condition in _field(value[name], each, depth - 1)]


def _field(field: Field, wanted: Any, depth: int) -> list[Condition]:
    if not isinstance(wanted, Mapping):
        return [_present(field) == _json(wanted)]
    if any(name.startswith("$") for name in wanted):
        return [_operator(field, name, operand) for name, operand in wanted.items()]
    return [sa.func.jsonb_typeof(field) == "object", *_fields(field, wanted, depth)]


def _operator(field: Field, name: str, operand: Any) -> Condition:
    if name == "$eq":
        return _present(field) == _json(operand)
    if name == "$ne":
        return _present(field) != _json(operand)
    if name not in ORDERED:
        raise Refusal(f"Unsupported operator: {name}")
    if isinstance(operand, bool) or not isinstance(operand, (int, float, str)):
        raise Refusal(f"{name} compares numbers with numbers and texts with texts.")
    kind = "string" if isinstance(operand, str) else "number"
    return sa.and_(sa.func.jsonb_typeof(field) == kind, ORDERED[name](field, _json(operand)))


def _present(field: Field) -> Field:
    return sa.func.coalesce(field, _json(None))


def _json(value: Any) -> Field:
    return sa.cast(sa.literal(encoded(value, "The filter").decode(), sa.Text()), JSONB)
