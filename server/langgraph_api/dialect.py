"""How this door speaks: its refusals, its ids, its pages."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Response, request
from marshmallow import Schema

from server.kit.errors import Invalid, MissingJson, Refusal
from server.kit.http import describe, parse_id, speak

__all__ = ["answers", "asked_list", "new_door", "paged", "uuid_or_refuse"]

View = Callable[..., Any]

# Clients of this dialect know a body that is no JSON as one that cannot be processed.
STATUSES = {MissingJson.code: 422}
NO_JSON = "Invalid JSON in request body"


def new_door(name: str) -> Blueprint:
    """A blueprint of this dialect; its refusals are `{"detail", "error", "message"}`."""
    door = Blueprint(name, f"server.langgraph_api.{name}")
    speak(door, _refused, statuses=STATUSES)
    return door


def answers(shape: type[Schema], *, many: bool = False) -> Callable[[View], View]:
    """Say what a view answers with, which it renders itself."""
    return lambda view: describe(view, answer=shape(many=True) if many else shape)


def _refused(refusal: Refusal) -> dict[str, Any]:
    message = NO_JSON if isinstance(refusal, MissingJson) else refusal.message
    rendered: dict[str, Any] = {"detail": message, "error": refusal.code, "message": message}
    if isinstance(refusal, Invalid) and refusal.fields:
        rendered["errors"] = refusal.fields
    return rendered


def uuid_or_refuse(text: object, what: str) -> uuid.UUID:
    """The UUID that a client wrote for an assistant, run or cron. Raises Invalid (422) for anything else."""
    known = parse_id(text)
    if known is None:
        raise Invalid(f"Invalid {what} ID: must be a UUID")
    return known


def asked_list(name: str) -> list[str]:
    """The words of a list in the query, however the client writes it: repeated, with commas, or (JavaScript's) as JSON."""
    return [word for each in request.args.getlist(name) for word in _words(each) if word]


def _words(text: str) -> list[str]:
    if not text.startswith("["):
        return text.split(",")
    try:
        return [str(word) for word in orjson.loads(text)]
    except orjson.JSONDecodeError:
        return [text]


def paged(response: Response, *, total: int, offset: int, limit: int) -> Response:
    """The answer to a search, with how many there are in all and where the next page begins."""
    response.headers["X-Pagination-Total"] = str(total)
    if offset + limit < total:
        response.headers["X-Pagination-Next"] = str(offset + limit)
    return response
