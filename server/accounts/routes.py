"""The accounts' door: registration, sign-in, the account, its API keys, tickets for WebSockets."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from server.accounts import actions, tokens, who
from server.accounts.models import api_keys_of
from server.accounts.schemas import (
    ApiKeyCreated,
    ApiKeys,
    Credentials,
    Message,
    NewApiKey,
    NewPassword,
    PasswordProof,
    Registered,
    Registration,
    Ticket,
    TicketFor,
    Tokens,
    UserAnswer,
    UserChange,
)
from server.accounts.throttle import Throttle
from server.accounts.who import me, signed_in, signed_in_or_404
from server.kit.http import answer, body, parse_id

__all__ = ["door"]

door = Blueprint("accounts", __name__)

Fields = dict[str, Any]


def _guard() -> Throttle:
    return Throttle.of(who.settings(), request.remote_addr)


@door.post("/register")
@body(Registration, missing="Missing email/password parameter")
@answer(Registered)
def register(fields: Fields) -> dict[str, Any]:
    """Make an account.

    The first one is the administrator's while the server listens on loopback only.
    Refused: 400 `Missing email/password parameter`, 400 `User already exists`, 403 when registration is closed, 429.
    """
    user = actions.sign_up(**fields, address=request.remote_addr, settings=who.settings())
    return {"msg": "User created successfully", "email": user.email, "user_id": user.id}


@door.post("/auth/login")
@body(Credentials, missing="Missing email/password parameter")
@answer(Tokens)
def login(fields: Fields) -> dict[str, Any]:
    """Sign in.

    Refused: 400 `Missing email/password parameter`, 404 `User not found`, 401 `Incorrect password.`, 429 after too many of these.
    """
    signed_in_as = actions.sign_in(**fields, guard=_guard(), life_s=who.settings().refresh_token_s)
    return tokens.issued(signed_in_as, who.settings())


@door.post("/auth/refresh")
@answer(Tokens)
def refresh() -> dict[str, Any]:
    """Get new tokens for a refresh token, sent as `Authorization: Bearer`.

    The refresh token is replaced too: one that was replaced and is used again ends the sign-in.
    Refused: 401.
    """
    claims = who.refreshing()
    return tokens.issued(actions.refresh(claims.login_id, claims.number), who.settings())


@door.post("/auth/logout")
@answer(Message)
def logout() -> dict[str, str]:
    """Sign out, with the access or the refresh token.

    Both, and all sockets that they opened, end at once.
    Refused: 401.
    """
    actions.sign_out(who.leaving())
    return {"msg": "Logged out"}


@door.get("/user")
@signed_in_or_404
@answer(UserAnswer)
def show_user() -> dict[str, Any]:
    """Show your account.

    Refused: 404 `User not found`.
    """
    return {"user": me()}


@door.put("/user")
@signed_in_or_404
@body(UserChange, optional=True)
@answer(Message)
def change_user(fields: Fields) -> dict[str, str]:
    """Change the e-mail address of your account.

    Refused: 404 `User not found`, 400 `User already exists` for an address that is taken.
    """
    if "email" in fields:
        actions.change_email(me(), fields["email"])
    return {"msg": "User updated"}


@door.delete("/user")
@signed_in_or_404
@body(PasswordProof, missing="Missing password parameter")
@answer(Message)
def delete_user(fields: Fields) -> dict[str, str]:
    """Delete your account, with its workspaces, chats and keys.

    Refused: 404 `User not found`, 400 `Missing password parameter`, 401 `Incorrect password.`, 429 after too many of these.
    """
    actions.delete_user(me(), fields["password"], guard=_guard())
    return {"msg": "User deleted"}


@door.put("/user/password")
@signed_in_or_404
@body(NewPassword, missing="Missing old_password/new_password parameter")
@answer(Message)
def change_password(fields: Fields) -> dict[str, str]:
    """Change your password.

    Every other sign-in ends at once; API keys stay.
    Refused: 404 `User not found`, 400 `Missing old_password/new_password parameter`, 401 `Incorrect password.`, 429.
    """
    actions.change_password(me(), fields["old_password"], fields["new_password"], keep=who.login_id(), guard=_guard())
    return {"msg": "Password changed"}


@door.post("/user/api_key")
@signed_in_or_404
@body(NewApiKey, missing="Missing name parameter")
@answer(ApiKeyCreated)
def create_api_key(fields: Fields) -> dict[str, Any]:
    """Make an API key; its text is in this answer and nowhere else.

    Refused: 404 `User not found`, 400 `Missing name parameter`, 409 when there are too many.
    """
    key, text = actions.create_api_key(me(), fields["name"])
    return {"api_key": text, "key_id": key.id, "name": key.name}


@door.get("/user/api_keys")
@signed_in_or_404
@answer(ApiKeys)
def list_api_keys() -> dict[str, Any]:
    """List your API keys.

    Refused: 404 `User not found`.
    """
    return {"api_keys": api_keys_of(me().id)}


@door.delete("/user/api_key/<key_id>")
@signed_in_or_404
@answer(Message)
def delete_api_key(key_id: str) -> dict[str, str]:
    """End an API key, and all sockets that it opened, at once.

    Refused: 404 `User not found`, 404 `API key not found`.
    """
    actions.delete_api_key(me(), parse_id(key_id))
    return {"msg": "API key deleted"}


@door.post("/ws/ticket")
@signed_in
@body(TicketFor, missing="Missing path parameter")
@answer(Ticket)
def new_ticket(fields: Fields) -> dict[str, Any]:
    """Get a ticket for one WebSocket at `path`: browsers cannot set headers there and send `?ticket=`.

    Refused: 400 `Missing path parameter`.
    """
    ticket = who.new_ticket(fields["path"])
    return {"ticket": ticket.text, "expires_at": ticket.expires_at}
