"""What every HTTP door shares: how a route reads its body and query, how it answers, and how a refusal is rendered.

A route is written as a table row:

    @door.post("/workspace")
    @signed_in
    @body(NewWorkspace, optional=True)
    @answer(WorkspaceCreated)
    def create_workspace(fields): ...

The schemas that validate are the ones that the OpenAPI page shows (`described` reads them back).
"""

from __future__ import annotations

import functools
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.json.provider import JSONProvider
from flask.typing import ResponseReturnValue
from marshmallow import Schema, ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from server.kit.db import rollback
from server.kit.errors import Invalid, MissingJson, Refusal, TooLarge, Unavailable

__all__ = [
    "Description",
    "answer",
    "body",
    "described",
    "describe",
    "install",
    "parse_id",
    "query",
    "replace_request",
    "sent",
    "speak",
    "validated",
]

log = logging.getLogger(__name__)

# The codes of refusals that the framework makes, by status; any other is `bad_request`.
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}

View = Callable[..., Any]
Render = Callable[[Refusal], dict[str, Any]]
Rendered = tuple[dict[str, Any], int, dict[str, str]]


@dataclass(frozen=True)
class Dialect:
    """How a door speaks of refusals. statuses: by code, where they differ from the refusals' own."""

    render: Render
    statuses: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Description:
    """What the decorators of a view said of it, for the OpenAPI page."""

    body: type[Schema] | None = None
    body_optional: bool = False
    query: type[Schema] | None = None
    answer: type[Schema] | None = None
    files: bool = False
    needs_sign_in: bool = False
    refusals: dict[int, list[str]] = field(default_factory=dict)


def described(view: View) -> Description:
    """What is known of a view; empty for one without decorators."""
    return getattr(view, "__door__", None) or Description()


def describe(view: View, **facts: Any) -> View:
    """Note facts about a view (and give it back), keeping what decorators below have noted."""
    noted = described(view)
    for name, value in facts.items():
        setattr(noted, name, value)
    view.__door__ = noted  # type: ignore[attr-defined]
    return view


def body(schema: type[Schema], *, missing: str | None = None, optional: bool = False) -> Callable[[View], View]:
    """Give the view its JSON body, validated, as the first argument.

    missing: the text of the 400 for a required field that is absent, null or empty; else that is a 422.
    optional: a request without a body counts as `{}`.
    Refused: 400 `Missing JSON in request`, 422 with the fields.
    """
    loader = schema()
    required = [name for name, declared in loader.load_fields.items() if declared.required]

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def with_body(*args: Any, **kwargs: Any) -> Any:
            values = _json_object(optional=optional)
            if missing and any(values.get(name) in (None, "") for name in required):
                raise Refusal(missing)
            return view(validated(loader, values), *args, **kwargs)

        return describe(with_body, body=schema, body_optional=optional)

    return decorate


def query(schema: type[Schema]) -> Callable[[View], View]:
    """Give the view its query parameters, validated, as the first argument. Refused: 422 with the fields."""
    loader = schema()

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def with_query(*args: Any, **kwargs: Any) -> Any:
            values = g.get("query_instead") or request.args.to_dict()
            if any("\x00" in value for value in values.values()):
                raise Invalid("A query parameter holds a NUL character.")
            return view(validated(loader, values), *args, **kwargs)

        return describe(with_query, query=schema)

    return decorate


def answer(schema: type[Schema]) -> Callable[[View], View]:
    """Render what the view returns by `schema`, as a 200."""
    dumper = schema()

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def with_answer(*args: Any, **kwargs: Any) -> Any:
            return dumper.dump(view(*args, **kwargs))

        return describe(with_answer, answer=schema)

    return decorate


def sent() -> bytes:
    """The body of the request, or what a guard has put in its place."""
    instead: bytes | None = g.get("body_instead")
    return request.get_data(cache=True) if instead is None else instead


def replace_request(*, body: bytes | None = None, query: dict[str, str] | None = None) -> None:
    """Let the view read this body and these query parameters instead of the client's. For guards that stand above `body` and `query`."""
    g.body_instead, g.query_instead = body, query


def parse_id(text: object) -> uuid.UUID | None:
    """The UUID that a client wrote, or None if it is none."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _json_object(*, optional: bool) -> dict[str, Any]:
    data = sent()
    if not data and optional:
        return {}
    if not data or (not request.is_json and not optional):
        raise MissingJson
    if b"\\u0000" in data:
        raise Invalid("The body holds a NUL character.")
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise MissingJson from None
    if not isinstance(values, dict):
        raise Invalid("The body is no JSON object.", fields={"_schema": ["Expected a JSON object."]})
    return values


def validated(loader: Schema, values: dict[str, Any]) -> Any:
    """The values as a schema loads them. Raises Invalid, with the fields that are wrong."""
    try:
        return loader.load(values)
    except ValidationError as error:
        raise Invalid(_first_message(error.normalized_messages()), fields=error.normalized_messages()) from None


def _first_message(fields: dict[str, Any]) -> str:
    name, messages = next(iter(fields.items()))
    first = messages[0] if isinstance(messages, list) else "is not valid"
    return f"{name}: {first}"


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: UUIDs as text, moments in ISO 8601."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        obj = self._prepare_response_obj(args, kwargs)
        return Response(self.dumps(obj) + "\n", mimetype="application/json")


# -- refusals ----------------------------------------------------------------------------------------------------------


def speak(door: Blueprint, render: Render, *, statuses: Mapping[str, int] | None = None) -> None:
    """Let a door render refusals in its own dialect, some under a status of its own; without it they are `{"msg": …}`.

    A path that no route has, or not for the method, is refused in the dialect of the doors that have its first word.
    """
    dialect = Dialect(render, statuses or {})
    door.record_once(lambda state: state.app.extensions.setdefault("dialects", {}).__setitem__(door.name, dialect))


def _plain(refusal: Refusal) -> dict[str, Any]:
    rendered: dict[str, Any] = {"msg": refusal.message}
    if isinstance(refusal, Invalid):
        rendered["errors"] = refusal.fields
    return rendered


PLAIN = Dialect(_plain)


def install(app: Flask) -> None:
    """Give the app its JSON, its request line in the log, its safe headers and its rendering of every error."""
    app.json = OrjsonProvider(app)
    app.extensions.setdefault("dialects", {})
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _http_error)
    for kind in (OperationalError, InterfaceError, PoolTimeout, RedisError):
        app.register_error_handler(kind, _store_is_away)
    app.register_error_handler(Exception, _bug)


def _begin() -> None:
    g.request_id = uuid.uuid4().hex
    g.began = time.perf_counter()


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    took_ms = round((time.perf_counter() - g.get("began", time.perf_counter())) * 1000, 1)
    rule = request.url_rule.rule if request.url_rule else "-"
    if response.status_code in (202, 204) and not response.content_length:
        response.headers.pop("Content-Type", None)
    log.info("http.request", extra={"facts": {"method": request.method, "rule": rule, "status": response.status_code, "took_ms": took_ms}})
    return response


def _refused(refusal: Refusal) -> Rendered:
    rollback()
    dialect = _dialect()
    headers = {"X-Error-Code": refusal.code}
    retry_after_s = getattr(refusal, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return dialect.render(refusal), dialect.statuses.get(refusal.code, refusal.status), headers


def _dialect() -> Dialect:
    """How the door of this request speaks; where no route has its path, a door that has the path's first word."""
    dialects: dict[str | None, Dialect] = current_app.extensions["dialects"]
    if request.url_rule is not None:
        return dialects.get(request.blueprint, PLAIN)
    word = request.path.split("/")[1]
    doors = (rule.endpoint.rpartition(".")[0] for rule in current_app.url_map.iter_rules() if rule.rule.split("/")[1] == word)
    return next((dialects[door] for door in doors if door in dialects), PLAIN)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error
    refusal = TooLarge() if error.code == 413 else Refusal(error.name, code=HTTP_CODES.get(error.code))
    refusal.status = error.code
    rendered, status, headers = _refused(refusal)
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return rendered, status, {**headers, **kept}


def _store_is_away(error: Exception) -> Rendered:
    rollback()
    log.error("http.store_is_away", extra={"facts": {"request_id": g.get("request_id"), "kind": type(error).__name__}}, exc_info=error)
    return _refused(Unavailable())


def _bug(error: Exception) -> Rendered:
    rollback()
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _store_is_away(error)
    log.error("http.bug", extra={"facts": {"request_id": g.get("request_id")}}, exc_info=error)
    refusal = Refusal("Internal server error", code="internal")
    refusal.status = 500
    rendered, status, headers = _refused(refusal)
    return {**rendered, "request_id": g.get("request_id")}, status, headers
