"""What the runs' routes take."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from server.runs.doubles import STRATEGIES

__all__ = [
    "MODES",
    "CancelMany",
    "CancelQuery",
    "Events",
    "JoinQuery",
    "Left",
    "NewRun",
    "NewThreadRun",
    "RunShape",
    "RunsQuery",
    "Stopped",
    "StreamQuery",
]

MODES = ("values", "updates", "messages", "messages-tuple", "custom", "debug", "tasks", "checkpoints", "events")
# Modes that clients ask for and that another one covers here.
OLDER_MODES = ("tools", "lifecycle")
MAX_DELAY_S = 366 * 86400
MAX_PAGE = 1000


class Input(Schema):
    """A body or a query; what is not known is passed over."""

    class Meta:
        unknown = EXCLUDE


class Modes(fields.Field[list[str]]):
    """One stream mode or several, as a list."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        modes = [value] if isinstance(value, str) else value
        if not isinstance(modes, list) or not all(isinstance(mode, str) for mode in modes):
            raise ValidationError("Expected a stream mode or a list of them.")
        for mode in modes:
            if mode not in (*MODES, *OLDER_MODES):
                raise ValidationError(f"{mode!r} is no stream mode: {', '.join(MODES)}.")
        return [mode for mode in dict.fromkeys(modes) if mode in MODES]


class Nodes(fields.Field[Any]):
    """`*`, or a list of names of nodes."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value == "*" or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            return value
        raise ValidationError("Expected '*' or a list of names of nodes.")


def is_command(command: Any) -> None:
    """Refuse what is no command of LangGraph."""
    unknown = set(command) - {"resume", "update", "goto"}
    if unknown:
        raise ValidationError(f"A command has resume, update and goto, not {sorted(unknown)[0]!r}.")
    goto = command.get("goto") or []
    for step in goto if isinstance(goto, list) else [goto]:
        if not isinstance(step, str) and not (isinstance(step, dict) and isinstance(step.get("node"), str)):
            raise ValidationError('goto: expected a node\'s name or {"node", "input"}, or a list of them.')
    update = command.get("update")
    pairs = isinstance(update, list) and all(isinstance(each, list) and len(each) == 2 and isinstance(each[0], str) for each in update)
    if update is not None and not isinstance(update, dict) and not pairs:
        raise ValidationError("update: expected an object or pairs of a name and a value.")


def is_config(config: Any) -> None:
    """Refuse what is no config of LangGraph."""
    limit = config.get("recursion_limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 10_000):
        raise ValidationError("recursion_limit: expected a number from 1 to 10000.")
    for name in ("configurable", "metadata"):
        if config.get(name) is not None and not isinstance(config[name], dict):
            raise ValidationError(f"{name}: expected an object.")
    tags = config.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise ValidationError("tags: expected a list of texts.")


class NewRun(Input):
    """A run to start."""

    assistant_id = fields.String(required=True, metadata={"description": "An assistant's id, or a graph's name."})
    input = fields.Raw(load_default=None, allow_none=True, metadata={"description": "What the graph is given."})
    command = fields.Dict(load_default=None, allow_none=True, validate=is_command, metadata={"description": "Instead of an input."})
    config = fields.Dict(load_default=None, allow_none=True, validate=is_config)
    context = fields.Dict(load_default=None, allow_none=True)
    metadata = fields.Dict(load_default=None, allow_none=True)
    stream_mode = Modes(load_default=None, allow_none=True)
    stream_subgraphs = fields.Boolean(load_default=False, allow_none=True)
    stream_resumable = fields.Boolean(load_default=False, allow_none=True)
    interrupt_before = Nodes(load_default=None, allow_none=True)
    interrupt_after = Nodes(load_default=None, allow_none=True)
    feedback_keys = fields.List(fields.String(), load_default=None, allow_none=True)
    on_disconnect = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(("cancel", "continue")))
    on_completion = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(("delete", "keep")))
    after_seconds = fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=0, max=MAX_DELAY_S))
    checkpoint_during = fields.Boolean(load_default=None, allow_none=True)
    durability = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(("sync", "async", "exit")))
    webhook = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=2048))


class NewThreadRun(NewRun):
    """A run to start on a thread."""

    checkpoint = fields.Dict(load_default=None, allow_none=True)
    checkpoint_id = fields.String(load_default=None, allow_none=True)
    multitask_strategy = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(STRATEGIES))
    strict_resume = fields.Boolean(load_default=False, allow_none=True)
    if_not_exists = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(("create", "reject")))


class RunsQuery(Input):
    """Which runs of a thread."""

    limit = fields.Integer(load_default=10, validate=validate.Range(min=0, max=MAX_PAGE))
    offset = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**31))
    status = fields.String(load_default=None)


class JoinQuery(Input):
    """How to wait for a run."""

    cancel_on_disconnect = fields.Boolean(load_default=False)


class StreamQuery(JoinQuery):
    """How to follow a run."""

    last_event_id = fields.String(load_default=None)


class CancelQuery(Input):
    """How to stop a run."""

    wait = fields.Boolean(load_default=False)
    action = fields.String(load_default="interrupt", validate=validate.OneOf(("interrupt", "rollback")))


class CancelMany(Input):
    """Which runs to stop."""

    thread_id = fields.String(load_default=None, allow_none=True)
    run_ids = fields.List(fields.String(), load_default=None, allow_none=True, validate=validate.Length(max=MAX_PAGE))
    status = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(("pending", "running", "all")))


class RunShape(Schema):
    """A run."""

    run_id = fields.UUID()
    thread_id = fields.String()
    assistant_id = fields.UUID()
    status = fields.String(metadata={"description": "pending, running, success, error, timeout or interrupted; `RUN_STATUS_WORDS`."})
    created_at = fields.DateTime()
    updated_at = fields.DateTime()
    metadata = fields.Dict()
    kwargs = fields.Dict(metadata={"description": "How it was asked for."})
    multitask_strategy = fields.String()
    input = fields.Raw(allow_none=True)
    output = fields.Raw(allow_none=True, metadata={"description": "The state that it left."})
    error_message = fields.String(allow_none=True)
    cancelled_at = fields.DateTime(allow_none=True)
    cancel_reason = fields.String(allow_none=True)


class Left(Schema):
    """The state that the run left, with `__interrupt__` if it asks something; of a failed run `__error__`."""


class Events(Schema):
    """Server-sent events."""

    media_type = "text/event-stream"


class Stopped(Schema):
    """An empty object when it has stopped; without `wait` a 202 at once, without a body."""
