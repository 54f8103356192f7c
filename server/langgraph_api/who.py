"""Who may do what through this door: whoever is signed in, with what is theirs; and what the operator's own handlers add to that.

With `auth.path` in the `langgraph.json`, its handlers decide here: who somebody is (this server's own credentials count only where no
handler authenticates), what they may do, and which metadata the rows must have that they see. Each identity has an account of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import orjson
from flask import g, request

from server.accounts.actions import account_of
from server.accounts.who import come_in, me, signed_in
from server.agents import catalogue
from server.kit.http import describe, replace_request, sent
from server.langgraph_api.handlers import here
from server.langgraph_api.shown import matches, restored, shown

__all__ = ["allowed", "auth_configurable", "auth_user", "filters", "passes"]

View = Callable[..., Any]
Fields = dict[str, Any]


def allowed(resource: str, action: str) -> Callable[[View], View]:
    """Let only those in who show who they are, and whom the operator's handlers for `resource` and `action` let pass.

    resource: assistants, threads, crons or store; a run is an action on a thread (`create_run`).
    action: create, read, update, delete, search, create_run, put, get, list_namespaces.
    Stands above `body` and `query`: what a handler has changed of the request is what they read.
    Source: the resources and actions of langgraph_sdk's `Auth`.
    """

    def decorate(view: View) -> View:
        own = signed_in(view)

        @functools.wraps(view)
        def asked(*args: Any, **kwargs: Any) -> Any:
            if catalogue.config().auth_path is None:
                return own(*args, **kwargs)
            if here().describe().authenticates:
                _admit(resource, action, kwargs)
                return view(*args, **kwargs)
            return signed_in(functools.partial(_after_own_sign_in, view, resource, action))(*args, **kwargs)

        return describe(asked, needs_sign_in=True)

    return decorate


def filters() -> Fields | None:
    """Metadata that a row has to contain to be there for this request (JSON containment); None for no condition."""
    must: Fields | None = g.get("langgraph_must")
    return must


def passes(metadata: Fields | None) -> bool:
    """Whether a row with this metadata is there for this request."""
    return matches(metadata, filters())


def auth_user() -> Fields | None:
    """Who the operator's handler said it is: `identity`, `display_name`, `permissions`, and what else it told. None without one."""
    user: Fields | None = g.get("langgraph_user")
    return user


def auth_configurable() -> Fields:
    """What a run is told of who started it; a client cannot say this itself. Source: LangGraph's `configurable`."""
    user = auth_user()
    return {
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": user["identity"] if user else "",
        "langgraph_auth_permissions": user["permissions"] if user else [],
    }


def _after_own_sign_in(view: View, resource: str, action: str, *args: Any, **kwargs: Any) -> Any:
    """The view, once the handlers let pass whom this server itself knows."""
    user = me()
    known = {"identity": str(user.id), "display_name": user.email, "is_authenticated": True, "permissions": []}
    _judge(resource, action, kwargs, known)
    return view(*args, **kwargs)


def _admit(resource: str, action: str, path: Fields) -> None:
    g.langgraph_user = _judge(resource, action, path, None)
    come_in(account_of(g.langgraph_user["identity"]))


def _judge(resource: str, action: str, path: Fields, user: Fields | None) -> Fields:
    """Ask the handlers, and put what they have changed in the place of the client's request; who it comes from."""
    is_query = request.method in ("GET", "HEAD")
    body = None if is_query else _sent_json()
    parts = {name: str(value) for name, value in path.items()}
    wanted = [request.args.to_dict()] if is_query else _objects(body)
    verdict = here().check(resource, action, [shown(resource, action, each, parts) for each in wanted], parts, body, user)
    left = [restored(resource, action, each, parts, value) for each, value in zip(wanted, verdict.values, strict=True)]
    if resource != "store":
        g.langgraph_must = verdict.must
    if left == wanted:
        return verdict.user
    if is_query:
        replace_request(query={name: _as_query(value) for name, value in left[0].items() if value is not None})
    else:
        replace_request(body=orjson.dumps(left if isinstance(body, list) else left[0]))
    return verdict.user


def _sent_json() -> Any:
    """What the body says; nothing where it cannot be read, which the view will refuse."""
    try:
        return orjson.loads(sent() or b"{}")
    except orjson.JSONDecodeError:
        return {}


def _objects(body: Any) -> list[Fields]:
    """What the handlers are to be asked about: each object of a list, else the one object; never nothing."""
    if isinstance(body, list) and body and all(isinstance(each, dict) for each in body):
        return body
    return [body if isinstance(body, dict) else {}]


def _as_query(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ".".join(map(str, value)) if isinstance(value, list) else str(value)
