"""The shapes of the agents' door."""

from __future__ import annotations

from marshmallow import Schema, fields

__all__ = ["AgentAnswer", "AgentShape", "AgentsAnswer", "Reloaded"]


class AgentShape(Schema):
    """An agent of this server."""

    agent_id = fields.String(required=True)
    name = fields.String(required=True)
    short_description = fields.String(required=True)
    version = fields.String(required=True)
    source = fields.String(required=True, metadata={"description": "`bundled` with the server, or named by the `config`."})
    ready = fields.Boolean(required=True)
    needs = fields.String(
        required=True, allow_none=True, attribute="needs_text", metadata={"description": "What is missing; null when it is ready."}
    )


class AgentsAnswer(Schema):
    """All agents of this server."""

    agents = fields.List(fields.Nested(AgentShape), required=True)
    count = fields.Integer(required=True)


class AgentAnswer(Schema):
    """One agent."""

    agent = fields.Nested(AgentShape, required=True)


class Reloaded(Schema):
    """The manifests were read again."""

    msg = fields.String(required=True)
