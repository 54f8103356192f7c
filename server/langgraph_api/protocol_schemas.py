"""What clients send in the thread protocol, for the page that describes the routes; what is wrong with it is said in its own words."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, fields

__all__ = ["Answered", "Command", "Listening"]


class Command(Schema):
    """A command: `run.start`, `input.respond`, `agent.getTree`, `subscription.subscribe`, `.unsubscribe` or `.reconnect`."""

    class Meta:
        """What is not known here is passed over."""

        unknown = EXCLUDE

    id = fields.Integer(required=True, metadata={"description": "Comes back with the answer."})
    method = fields.String(required=True)
    params = fields.Dict(load_default=dict)


class Answered(Schema):
    """What came of a command."""

    type = fields.String(metadata={"description": "`success` or `error`."})
    id = fields.Integer(allow_none=True, metadata={"description": "The command's."})
    result = fields.Dict()
    error = fields.String()
    message = fields.String()
    meta = fields.Dict()


class Listening(Schema):
    """Which events of a thread are wanted."""

    class Meta:
        """What is not known here is passed over."""

        unknown = EXCLUDE

    channels = fields.Raw(
        metadata={"description": "values, updates, messages, tools, lifecycle, input, checkpoints, tasks, custom, custom:…"}
    )
    namespaces = fields.Raw(metadata={"description": "Only of graphs whose namespace begins so: an array of arrays of names."})
    depth = fields.Raw(metadata={"description": "How many levels below such a beginning; all where it is not given."})
    since = fields.Raw(metadata={"description": "The seq of the last event that you have."})
