"""Strings that the server signs: bound to a purpose, dated, and refused by name when they do not hold."""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import dataclass
from typing import Any

from flask import current_app
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from server.kit.errors import Unauthenticated

__all__ = ["Signed", "StringExpired", "StringInvalid", "derived", "read", "sign"]


class StringInvalid(Unauthenticated):
    """The signed string is not valid."""

    code = "invalid"


class StringExpired(Unauthenticated):
    """The signed string has expired."""

    code = "expired"


@dataclass(frozen=True)
class Signed:
    """A string as it was signed: its text and the two moments that bound its use."""

    text: str
    created_at: dt.datetime
    expires_at: dt.datetime


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SETTINGS"].secret_key, salt=f"parley.{purpose}")


def sign(purpose: str, payload: dict[str, Any], *, life_s: int) -> Signed:
    """`payload` as a URL-safe signed string that only `read` with the same purpose accepts, for `life_s` seconds."""
    created_at = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return Signed(_serializer(purpose).dumps(payload), created_at, created_at + dt.timedelta(seconds=life_s))


def read(purpose: str, text: object, *, life_s: int) -> dict[str, Any]:
    """The payload of a string signed for this purpose at most `life_s` seconds ago. Raises StringInvalid, StringExpired."""
    if not isinstance(text, str) or len(text) > 4096 or not text.isascii():
        raise StringInvalid
    try:
        payload = _serializer(purpose).loads(text, max_age=life_s)
    except SignatureExpired:
        raise StringExpired from None
    except BadSignature:
        raise StringInvalid from None
    if not isinstance(payload, dict) or not _is_canonical(text):
        raise StringInvalid
    return payload


def derived(purpose: str, name: str) -> str:
    """A secret of its own for a purpose and a name, 64 hexadecimal digits; always the same while the server's secret is."""
    key: str = current_app.config["SETTINGS"].secret_key
    return hmac.digest(key.encode(), f"parley.{purpose}:{name}".encode(), "sha256").hex()


def _is_canonical(text: str) -> bool:
    """Whether the signature is spelled as it was made: the last letter of base64 has spellings that decode alike."""
    signature = text.rpartition(".")[2]
    return base64_encode(base64_decode(signature)).decode() == signature
