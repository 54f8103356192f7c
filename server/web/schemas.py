"""What the operator's routes answer."""

from __future__ import annotations

from marshmallow import Schema, fields

__all__ = ["Health", "Pong"]


class Pong(Schema):
    """That the server answers."""

    msg = fields.String(required=True)


class Health(Schema):
    """How the parts of the server are."""

    status = fields.String(required=True, metadata={"description": "`ok`, or `degraded` when a part is missing."})
    database = fields.String(required=True)
    redis = fields.String(required=True, metadata={"description": "`connected`, or `unavailable` and what is used instead."})
    workers = fields.Integer(required=True, metadata={"description": "Worker processes whose heartbeat is fresh."})
    queue = fields.Integer(required=True, metadata={"description": "Runs that wait for a worker."})
    version = fields.String(required=True)
