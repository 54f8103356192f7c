"""An operator's own handlers of who may come in and what they may do: the `Auth` object of langgraph_sdk that a `langgraph.json` names.

They are user code, and so run in a worker. What they are shown and how their answers are read is the ecosystem's:
https://docs.langchain.com/langsmith/auth and the docstrings of `langgraph_sdk.Auth`.
"""

from __future__ import annotations

import inspect
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from langgraph_sdk import Auth

from server.engine.imports import AgentBroken, open_object
from server.engine.job import AgentSource
from server.engine.people import Person
from server.engine.wire import jsonable

__all__ = ["Refused", "Verdict", "authenticate", "authorize", "described"]

log = logging.getLogger(__name__)

BROKEN = "The server's authentication handlers failed."
# Ids that a handler sees as UUIDs where they are some.
IDS = ("assistant_id", "cron_id", "run_id", "thread_id")


class Refused(Exception):
    """A handler turns somebody away: with a status, and a sentence that its author wrote for clients."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True)
class Verdict:
    """What a handler allows. must: metadata that a row has to contain, None for no condition; value: the request as it left it."""

    must: dict[str, Any] | None
    value: dict[str, Any]


class Asked:
    """The request, to a handler that wants it whole: the part of Starlette's `Request` that reads headers, names and the body."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.method: str = facts["method"]
        self.url = Url(facts["path"], facts["query_string"])
        self.headers = Headers(facts["headers"])
        self.query_params: dict[str, str] = facts["query_params"]
        self.path_params: dict[str, str] = facts["path_params"]
        self.cookies: dict[str, str] = facts["cookies"]
        self._body = facts["body"]

    async def json(self) -> Any:
        """The JSON of the body."""
        return self._body


@dataclass(frozen=True)
class Url:
    """Where the request went."""

    path: str
    query: str

    def __str__(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Headers(dict[str, str]):
    """The request's headers, by name in any case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in pairs)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, in any case."""
        return super().get(name.lower(), default)


async def described(source: AgentSource) -> dict[str, Any]:
    """What handlers there are: whether one authenticates, and which `resource.action` (`*` for any) have one."""
    auth = await _opened(source)
    names = [f"{resource}.{action}" for resource, action in auth._handlers]
    return {"authenticates": auth._authenticate_handler is not None, "handlers": [*names, *(["*.*"] if auth._global_handlers else [])]}


async def authenticate(source: AgentSource, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Who the request comes from, as the operator's handler tells it: with `identity`, and what JSON can hold. Raises Refused."""
    handler: Any = (await _opened(source))._authenticate_handler
    shown = {
        "request": Asked(facts),
        "body": facts["body"],
        "path": facts["path"],
        "method": facts["method"],
        "path_params": facts["path_params"],
        "query_params": facts["query_params"],
        "headers": {name.lower().encode(): value.encode() for name, value in facts["headers"]},
        "authorization": Headers(facts["headers"]).get("authorization"),
    }
    names = inspect.signature(handler).parameters
    told = await _answer(handler, {name: value for name, value in shown.items() if name in names}, otherwise=401)
    if told is None:
        raise Refused(401, "Authentication is required.")
    return _user(told)


async def authorize(source: AgentSource, user: Mapping[str, Any], resource: str, action: str, value: dict[str, Any]) -> Verdict:
    """What the handler for a resource's action says to a request; without one, yes. Raises Refused."""
    handler = _handler(await _opened(source), resource, action)
    person = Person(user)
    shown = _typed(value)
    if handler is None:
        return Verdict(None, value)
    context = Auth.types.AuthContext(person.permissions, cast("Any", person), cast("Any", resource), cast("Any", action))
    told = await _answer(handler, {"ctx": context, "value": shown}, otherwise=403)
    if told is False:
        raise Refused(403, "Forbidden")
    if told is None or told is True:
        return Verdict(None, jsonable(shown))
    return Verdict(_contained(told), jsonable(shown))


async def _opened(source: AgentSource) -> Auth:
    try:
        auth = await open_object(source)
    except AgentBroken:
        log.exception("auth.broken")
        raise Refused(500, BROKEN) from None
    if not isinstance(auth, Auth):
        log.error("auth.broken", extra={"facts": {"kind": type(auth).__name__}})
        raise Refused(500, BROKEN)
    return auth


def _handler(auth: Auth, resource: str, action: str) -> Any:
    """The handler for the action, else the resource's, else the action's of any resource, else the one for all."""
    for name in ((resource, action), (resource, "*"), ("*", action)):
        if auth._handlers.get(name):
            return auth._handlers[name][-1]
    return auth._global_handlers[-1] if auth._global_handlers else None


async def _answer(handler: Any, shown: dict[str, Any], *, otherwise: int) -> Any:
    """What a handler returns. otherwise: the status of an assertion of its that does not hold."""
    try:
        told = handler(**shown)
        return await told if inspect.isawaitable(told) else told
    except Auth.exceptions.HTTPException as refused:
        status = refused.status_code if 400 <= refused.status_code <= 599 else 500
        raise Refused(status, str(refused.detail)) from None
    except AssertionError:
        raise Refused(otherwise, "Forbidden" if otherwise == 403 else "Authentication is required.") from None
    except Exception:
        log.exception("auth.handler_failed", extra={"facts": {"handler": getattr(handler, "__name__", "?")}})
        raise Refused(500, BROKEN) from None


def _user(told: Any) -> dict[str, Any]:
    """A user out of what a handler returned: a text, a mapping, or an object with the attributes of one."""
    if isinstance(told, str):
        user: dict[str, Any] = {"identity": told}
    elif isinstance(told, Mapping):
        user = dict(told)
    else:
        names = ("identity", "display_name", "is_authenticated", "permissions")
        user = {**getattr(told, "__dict__", {}), **{name: getattr(told, name) for name in names if hasattr(told, name)}}
        user = {name: value for name, value in user.items() if not name.startswith("_")}
    user = jsonable(user)
    if not isinstance(user.get("identity"), str) or not user["identity"]:
        log.error("auth.no_identity", extra={"facts": {"kind": type(told).__name__}})
        raise Refused(500, BROKEN)
    person = Person(user)
    return {**user, "display_name": person.display_name, "is_authenticated": person.is_authenticated, "permissions": person.permissions}


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    """The value as handlers expect it: UUIDs, and a namespace that is a tuple."""
    typed = dict(value)
    for name in IDS:
        if isinstance(typed.get(name), str):
            try:
                typed[name] = uuid.UUID(typed[name])
            except ValueError:
                continue
    if isinstance(typed.get("namespace"), list):
        typed["namespace"] = tuple(typed["namespace"])
    return typed


def _contained(told: Any) -> dict[str, Any]:
    """A filter as the metadata that a row has to contain: `{"a": "x"}`, `{"$eq": "x"}`, `{"$contains": "x"}` or a list of such."""
    if not isinstance(told, Mapping):
        log.error("auth.bad_answer", extra={"facts": {"kind": type(told).__name__}})
        raise Refused(500, BROKEN)
    return {str(name): _wanted(each) for name, each in told.items()}


def _wanted(each: Any) -> Any:
    if isinstance(each, Mapping) and len(each) == 1:
        [(operator, wanted)] = each.items()
        if operator == "$eq" and _is_scalar(wanted):
            return wanted
        if operator == "$contains":
            parts = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
            if all(map(_is_scalar, parts)):
                return parts
    elif _is_scalar(each):
        return each
    log.error("auth.bad_filter")
    raise Refused(500, BROKEN)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
