"""Who is asking: an access token, an API key, or, under `AUTH=open`, nobody in particular.

A credential is written as `login:<id>`, `key:<id>` or `open:<user id>`: what an open socket keeps of the request that it came
from, and is checked against again while it is open.
"""

from __future__ import annotations

import functools
import ipaddress
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import current_app, g, request

from server.accounts import actions, tokens
from server.accounts.models import User, first_user, key_and_user, living, login_and_user, user_by_id
from server.accounts.rules import digest, is_api_key
from server.kit import cors, signing
from server.kit.clock import after, new_id
from server.kit.errors import NotFound, Refusal, Unauthenticated
from server.kit.http import describe, parse_id
from server.settings import Settings

__all__ = [
    "come_in",
    "credential",
    "leaving",
    "login_id",
    "me",
    "new_ticket",
    "refreshing",
    "settings",
    "signed_in",
    "signed_in_or_404",
    "ended_among",
    "use_ticket",
]

TICKET = "socket-ticket"
BAD_KEY = "The API key is not valid."

View = Callable[..., Any]


@dataclass(frozen=True)
class Caller:
    """Who a request comes from, and what shows it."""

    user: User
    credential: str
    login_id: uuid.UUID | None = None


class UserGone(Exception):
    """The token is good, but its user has been deleted."""


def settings() -> Settings:
    """The settings of this process."""
    in_force: Settings = current_app.config["SETTINGS"]
    return in_force


def signed_in(view: View) -> View:
    """Let only those in who show who they are; `me()` is theirs in the view. Refused: 401."""
    return _guarded(view, Unauthenticated(tokens.ENDED))


def signed_in_or_404(view: View) -> View:
    """As `signed_in`, but somebody whose account is gone is told so: 404 `User not found`."""
    return _guarded(view, NotFound("User not found"))


def _guarded(view: View, gone: Refusal) -> View:
    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            g.caller = _caller()
        except UserGone:
            raise gone from None
        return view(*args, **kwargs)

    return describe(guarded, needs_sign_in=True)


def come_in(user: User) -> None:
    """Let the request go on as this user's, whom somebody else than this server knows; `me()` is theirs from here on."""
    g.caller = Caller(user, f"open:{user.id}")


def me() -> User:
    """The user that this request comes from."""
    return _known().user


def login_id() -> uuid.UUID | None:
    """The sign-in that this request's token belongs to; None with an API key, or under `AUTH=open`."""
    return _known().login_id


def credential() -> str:
    """What a socket that this request asks for has to be checked against while it is open."""
    return _known().credential


def _known() -> Caller:
    caller: Caller = g.caller
    return caller


def ended_among(credentials: Iterable[str]) -> set[str]:
    """Those of the credentials that have ended (and so must let go of their sockets): one query, however many."""
    named = {each: (each.partition(":")[0], parse_id(each.partition(":")[2])) for each in credentials}
    by_kind: dict[str, set[uuid.UUID]] = {}
    for kind, known in named.values():
        if known is not None:
            by_kind.setdefault(kind, set()).add(known)
    alive = living(by_kind)
    return {each for each, (_, known) in named.items() if known not in alive}


# -- what a request shows ----------------------------------------------------------------------------------------------


def _caller() -> Caller:
    key = request.headers.get("X-Api-Key", "").strip()
    if key:
        return _by_key(key)
    shown = _bearer()
    if shown is None:
        return _anybody()
    return _by_key(shown) if is_api_key(shown) else _by_token(shown)


def _bearer() -> str | None:
    """The token of the request; None if it shows nothing at all. Source: RFC 6750, 2.1."""
    header = request.headers.get("Authorization", "").strip()
    if not header:
        return None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Unauthenticated(tokens.BAD)
    return text.strip()


def _by_key(text: str) -> Caller:
    found = key_and_user(digest(text))
    if found is None:
        raise Unauthenticated(BAD_KEY)
    key, user = found
    actions.note_key_use(key)
    return Caller(user, f"key:{key.id}")


def _by_token(text: str) -> Caller:
    claims = tokens.read(text)
    if claims.kind != "access":
        raise Unauthenticated(tokens.BAD)
    found = login_and_user(claims.login_id)
    if found is None:
        raise UserGone
    login, user = found
    if login.is_over():
        raise Unauthenticated(tokens.ENDED)
    return Caller(user, f"login:{login.id}", login.id)


def _anybody() -> Caller:
    if settings().auth != "open" or not _is_from_this_machine():
        raise Unauthenticated(tokens.MISSING)
    user = first_user()
    if user is None:
        raise Unauthenticated("There is no user yet; register one, whose this server then is.")
    return Caller(user, f"open:{user.id}")


def _is_from_this_machine() -> bool:
    """Whether no page of another site is behind the request: it could not read the answer, but it could ask for things."""
    origin = request.headers.get("Origin")
    is_friend = origin is None or origin in settings().cors_origins or cors.is_named(origin)
    hosts = [request.host] if is_friend else [request.host, urlsplit(origin or "").netloc]
    return all(_is_loopback(urlsplit(f"//{host}").hostname) for host in hosts)


def _is_loopback(name: str | None) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False


# -- tokens that end or go on ------------------------------------------------------------------------------------------


def refreshing() -> tokens.Claims:
    """The refresh token that this request shows."""
    claims = tokens.read(_bearer() or "")
    if claims.kind != "refresh":
        raise Unauthenticated("This takes a refresh token.")
    return claims


def leaving() -> uuid.UUID:
    """The sign-in whose access or refresh token this request shows."""
    return tokens.read(_bearer() or "").login_id


# -- tickets -----------------------------------------------------------------------------------------------------------


def new_ticket(path: str) -> signing.Signed:
    """A string that opens one WebSocket at `path`, once, for whom this request comes from: browsers cannot set headers there."""
    payload = {"id": str(new_id()), "path": path, "user_id": str(me().id), "credential": credential()}
    return signing.sign(TICKET, payload, life_s=settings().socket_ticket_s)


def use_ticket(ticket: object, path: str) -> User:
    """The user who got the ticket for this path; it is used up. `me` and `credential` know them from here on.

    Raises StringInvalid, StringExpired, Unauthenticated when its credential has ended, Replayed.
    """
    life_s = settings().socket_ticket_s
    payload = signing.read(TICKET, ticket, life_s=life_s)
    if payload["path"] != path:
        raise signing.StringInvalid
    shown: str = payload["credential"]
    user = None if ended_among([shown]) else user_by_id(uuid.UUID(payload["user_id"]))
    if user is None:
        raise Unauthenticated(tokens.ENDED)
    actions.use_ticket(f"ticket:{payload['id']}", after(life_s))
    kind, _, shown_id = shown.partition(":")
    g.caller = Caller(user, shown, uuid.UUID(shown_id) if kind == "login" else None)
    return user
