"""Access and refresh tokens: JSON Web Tokens that name a sign-in, signed with a key of their own."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import uuid
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token

from server.accounts.models import Login
from server.kit.clock import now
from server.kit.errors import Unauthenticated
from server.settings import Settings

__all__ = ["BAD", "ENDED", "EXPIRED", "MISSING", "Claims", "install", "issued", "read"]

MISSING = "Sign in first: send an access token or an API key."
BAD = "The token is not valid."
EXPIRED = "The token has expired."
ENDED = "The token has been revoked."


@dataclass(frozen=True)
class Claims:
    """What a token of ours says: its kind, its sign-in and, of a refresh token, its number in that sign-in."""

    kind: str
    login_id: uuid.UUID
    number: int


def install(app: Flask) -> None:
    """Set the tokens up for an app; whatever is wrong with one is a 401 in the door's own words."""
    settings: Settings = app.config["SETTINGS"]
    app.config.update(
        JWT_SECRET_KEY=hmac.digest(settings.secret_key.encode(), b"parley.tokens", hashlib.sha256).hex(),
        JWT_ALGORITHM="HS256",
        JWT_DECODE_ALGORITHMS=["HS256"],
        JWT_ENCODE_NBF=False,
    )
    manager = JWTManager(app)
    for loader, text in (
        (manager.unauthorized_loader, MISSING),
        (manager.invalid_token_loader, BAD),
        (manager.expired_token_loader, EXPIRED),
        (manager.revoked_token_loader, ENDED),
        (manager.needs_fresh_token_loader, BAD),
        (manager.token_verification_failed_loader, BAD),
        (manager.user_lookup_error_loader, ENDED),
    ):
        loader(_refuser(text))


def issued(login: Login, settings: Settings) -> dict[str, Any]:
    """The tokens of a sign-in as a client gets them; the access token never outlives the sign-in."""
    left_s = (login.expires_at - now()).total_seconds()
    life_s = int(min(settings.access_token_s, left_s))
    subject, claims = str(login.user_id), {"login": str(login.id)}
    return {
        "access_token": create_access_token(subject, additional_claims=claims, expires_delta=dt.timedelta(seconds=life_s)),
        "refresh_token": create_refresh_token(
            subject, additional_claims={**claims, "number": login.refreshes}, expires_delta=dt.timedelta(seconds=left_s)
        ),
        "token_type": "Bearer",
        "expires_in": life_s,
        "user_id": login.user_id,
    }


def read(text: str) -> Claims:
    """The claims of a token that is ours and has not expired. Whether its sign-in still holds is for the caller to ask."""
    if not _is_signed_here(text):
        raise Unauthenticated(BAD)
    claims = decode_token(text)
    return Claims(claims["type"], uuid.UUID(claims["login"]), claims.get("number", 0))


def _is_signed_here(text: str) -> bool:
    """Whether the signature is ours, letter by letter, before anything of the token is parsed.

    The library takes every base64 spelling of a signature, and parses what it says before it has checked it.
    """
    signed, _, signature = text.rpartition(".")
    key = current_app.config["JWT_SECRET_KEY"].encode()
    made = base64.urlsafe_b64encode(hmac.digest(key, signed.encode("utf-8", "replace"), hashlib.sha256)).rstrip(b"=")
    return hmac.compare_digest(made, signature.encode("utf-8", "replace"))


def _refuser(text: str) -> Any:
    def refuse(*_: object) -> ResponseReturnValue:
        rendered: ResponseReturnValue = current_app.handle_user_exception(Unauthenticated(text))  # type: ignore[assignment]
        return rendered

    return refuse
