"""The shapes of the threads' door."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from server.runs.threads.search import FIELDS, ORDERS

__all__ = [
    "AtCheckpoint",
    "ChangedThread",
    "CountThreads",
    "NewState",
    "NewThread",
    "PruneThreads",
    "Pruned",
    "SearchThreads",
    "ShowHistory",
    "ShowState",
    "ShowThread",
    "StateShape",
    "StateStored",
    "ThreadCount",
    "ThreadGone",
    "ThreadShape",
]

MAX_PAGE = 1000
MAX_INTEGER = 2**31 - 1
MAX_TTL_MINUTES = 100 * 366 * 24 * 60
MAX_EXTRACTS = 10
STRATEGIES = ("delete", "keep_latest")
STATUSES = ("idle", "busy", "interrupted", "error")


class Lenient(Schema):
    """A request whose unknown fields are passed over."""

    class Meta:
        unknown = EXCLUDE


def _json_object(text: str) -> fields.Dict:
    return fields.Dict(keys=fields.String(), metadata={"description": text})


def _number(least: int, most: int, **options: Any) -> fields.Integer:
    return fields.Integer(validate=Range(least, most), **options)


class Values(fields.Raw):
    """What a node would give: an object, a list or null."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value is not None and not isinstance(value, (dict, list)):
            raise ValidationError("Not an object, a list or null.")
        return value


class Before(fields.Raw):
    """The id of a checkpoint, however it is named: alone, in a checkpoint, or in a config."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        named = value.get("configurable", value) if isinstance(value, dict) else {"checkpoint_id": value}
        known = named.get("checkpoint_id") if isinstance(named, dict) else None
        if not isinstance(known, str) or not known:
            raise ValidationError("Names no checkpoint.")
        return known


class Ttl(Lenient):
    """How long a thread is kept, in minutes from now, and what then goes: all of it, or all of its history but the newest state."""

    ttl = fields.Float(required=True, validate=Range(0, MAX_TTL_MINUTES, min_inclusive=False))
    strategy = fields.String(validate=OneOf(STRATEGIES), load_default="delete")


class CheckpointName(Lenient):
    """What names a checkpoint; the thread is the one of the address."""

    thread_id = fields.String(allow_none=True)
    checkpoint_ns = fields.String(allow_none=True, metadata={"description": "The subgraph: empty for the graph itself."})
    checkpoint_id = fields.String(allow_none=True)
    checkpoint_map = fields.Dict(keys=fields.String(), values=fields.String(), allow_none=True)


class Update(Lenient):
    """What one node would have written."""

    values = Values(allow_none=True, load_default=None)
    command = fields.Dict(allow_none=True, load_default=None)
    as_node = fields.String(required=True, validate=Length(1))


class Superstep(Lenient):
    """What nodes would have written at once."""

    updates = fields.List(fields.Nested(Update), required=True, validate=Length(1))


# -- what the routes take ----------------------------------------------------------------------------------------------


class NewThread(Lenient):
    """A thread to be made."""

    thread_id = fields.String(
        allow_none=True,
        load_default=None,
        metadata={"description": "1 to 128 letters, digits, `.`, `_` or `-`; made by the server where it is missing."},
    )
    metadata = _json_object("Anything; can be searched for. `graph_id` names the graph that its state is of.")
    if_exists = fields.String(validate=OneOf(("raise", "do_nothing")), load_default="raise")
    ttl = fields.Nested(Ttl)
    supersteps = fields.List(fields.Nested(Superstep))


class ChangedThread(Lenient):
    """What is to be changed; metadata are merged."""

    metadata = _json_object("Added to what is there, key by key.")
    ttl = fields.Nested(Ttl)


class ShowThread(Lenient):
    """What to show besides."""

    include = fields.String(load_default="", metadata={"description": "`ttl` for the time it has to live."})


class CountThreads(Lenient):
    """Which threads."""

    metadata = _json_object("Keys and values that they have.")
    values = _json_object("Keys and values of their state.")
    status = fields.String(validate=OneOf(STATUSES))
    ids = fields.List(fields.String())


class SearchThreads(CountThreads):
    """Which threads, how many, in which order, and what of them."""

    limit = _number(1, MAX_PAGE, load_default=10, strict=True)
    offset = _number(0, MAX_INTEGER, load_default=0, strict=True)
    sort_by = fields.String(validate=OneOf(tuple(ORDERS)), load_default="updated_at")
    sort_order = fields.String(validate=OneOf(("asc", "desc")), load_default="desc")
    select = fields.List(fields.String(validate=OneOf((*FIELDS, "context"))))
    extract = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        validate=Length(max=MAX_EXTRACTS),
        metadata={"description": "Names for what is found at paths such as `values.messages[-1].content`; at most 10."},
    )


class PruneThreads(Lenient):
    """Which threads are to go, or their history."""

    thread_ids = fields.List(fields.String(), required=True)
    strategy = fields.String(validate=OneOf(STRATEGIES), load_default="delete")


class ShowState(Lenient):
    """How much of a state."""

    subgraphs = fields.Boolean(load_default=False)
    select = fields.Raw(metadata={"description": "Fields of the answer, `values.<key>` for one key of the state; may be repeated."})


class AtCheckpoint(Lenient):
    """Which state, and how much of it."""

    checkpoint = fields.Nested(CheckpointName, required=True)
    subgraphs = fields.Boolean(allow_none=True, load_default=False)
    select = fields.List(fields.String())


class NewState(Lenient):
    """What to write, as which node, and to which checkpoint: a fork, where it is not the newest."""

    values = Values(allow_none=True, load_default=None)
    as_node = fields.String(allow_none=True, load_default=None)
    checkpoint = fields.Nested(CheckpointName, allow_none=True, load_default=None)
    checkpoint_id = fields.String(allow_none=True, load_default=None)


class ShowHistory(Lenient):
    """Which states, newest first."""

    limit = _number(1, MAX_PAGE)
    before = Before(allow_none=True, load_default=None, metadata={"description": "A checkpoint, or its id: the states before it."})
    metadata = _json_object("Keys and values of the states' metadata.")
    checkpoint = fields.Nested(CheckpointName, allow_none=True, load_default=None)
    select = fields.Raw()


# -- what they answer --------------------------------------------------------------------------------------------------


class ThreadShape(Schema):
    """A thread."""

    thread_id = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)
    state_updated_at = fields.DateTime(required=True)
    metadata = fields.Dict(required=True)
    status = fields.String(required=True, validate=OneOf(STATUSES))
    config = fields.Dict(required=True)
    values = fields.Raw(required=True, allow_none=True)
    interrupts = fields.Dict(required=True, metadata={"description": "The open questions by the task that asks: lists of `{id, value}`."})
    error = fields.Dict(required=True, allow_none=True)
    ttl = fields.Dict(metadata={"description": "`{strategy, ttl_minutes, expires_at}`, where it was asked for and there is one."})
    extracted = fields.Dict()


class StateShape(Schema):
    """A state of a thread."""

    values = fields.Raw(required=True)
    next = fields.List(fields.String(), required=True)
    tasks = fields.List(fields.Dict(), required=True)
    metadata = fields.Dict(required=True, allow_none=True)
    created_at = fields.String(required=True, allow_none=True)
    checkpoint = fields.Dict(required=True, allow_none=True)
    parent_checkpoint = fields.Dict(required=True, allow_none=True)
    interrupts = fields.List(fields.Dict(), required=True)
    checkpoint_id = fields.String(required=True, allow_none=True)
    parent_checkpoint_id = fields.String(required=True, allow_none=True)


class StateStored(Schema):
    """What names the checkpoint that was written."""

    checkpoint = fields.Dict(required=True)
    configurable = fields.Dict(required=True)
    checkpoint_id = fields.String(required=True)


class ThreadCount(Schema):
    """How many there are, as a bare number."""


class ThreadGone(Schema):
    """It is done."""

    status = 204


class Pruned(Schema):
    """How many threads it was done to."""

    pruned_count = fields.Integer(required=True)
