"""What clients ask of a server before they use it, and what they get."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, fields

__all__ = ["Info", "Ok", "OkQuery"]


class OkQuery(Schema):
    """How far to look."""

    class Meta:
        unknown = EXCLUDE

    check_db = fields.Boolean(load_default=False)


class Ok(Schema):
    """That the server answers."""

    ok = fields.Boolean(required=True)


class Info(Schema):
    """The versions, and what a client may count on."""

    version = fields.String(required=True)
    langgraph_py_version = fields.String(required=True)
    flags = fields.Dict(keys=fields.String(), values=fields.Boolean(), required=True)
