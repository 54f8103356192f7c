"""The shapes of the accounts' door, and the kinds of field that other doors share."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from server.accounts.rules import MAX_EMAIL_CHARS, MAX_NAME_CHARS, MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS
from server.kit.clock import iso

__all__ = [
    "Address",
    "ApiKeyCreated",
    "ApiKeys",
    "Credentials",
    "Input",
    "Message",
    "Moment",
    "Name",
    "NewApiKey",
    "NewPassword",
    "PasswordProof",
    "Registered",
    "Registration",
    "Ticket",
    "TicketFor",
    "Tokens",
    "UserAnswer",
    "UserChange",
]


class Input(Schema):
    """What a client sends; fields that are not known are left out."""

    class Meta:
        unknown = EXCLUDE


class Moment(fields.DateTime):
    """A moment, ISO 8601 in UTC with `Z`."""

    def _serialize(self, value: dt.datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else iso(value)


class Name(fields.String):
    """A line of text that people read, without spaces around it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=1, max=MAX_NAME_CHARS), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs)).strip()
        if any(unicodedata.category(each) == "Cc" for each in text):
            raise ValidationError("Control characters are not allowed.")
        return text


class Address(fields.Email):
    """An e-mail address, without spaces around it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(max=MAX_EMAIL_CHARS), metadata={"example": "user@example.com"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return str(super()._deserialize(value, attr, data, **kwargs)).strip()


def _password(*, is_new: bool) -> fields.String:
    length = validate.Length(min=MIN_PASSWORD_CHARS if is_new else None, max=MAX_PASSWORD_CHARS)
    return fields.String(required=True, load_only=True, validate=length, metadata={"example": "securepassword123"})


class Message(Schema):
    """It was done."""

    msg = fields.String(required=True)


class Registration(Input):
    """A new account."""

    email = Address(required=True)
    password = _password(is_new=True)


class Registered(Message):
    """The account was made."""

    email = fields.String(required=True)
    user_id = fields.UUID(required=True)


class Credentials(Input):
    """An account and its password."""

    email = Address(required=True)
    password = _password(is_new=False)


class Tokens(Schema):
    """The tokens of a sign-in."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds until the access token expires."})
    user_id = fields.UUID(required=True)


class UserShape(Schema):
    """An account."""

    user_id = fields.UUID(required=True, attribute="id")
    email = fields.String(required=True)
    is_admin = fields.Boolean(required=True)
    created_at = Moment(required=True)


class UserAnswer(Schema):
    """The account of whoever asks."""

    user = fields.Nested(UserShape, required=True)


class UserChange(Input):
    """What is to be different."""

    email = Address()


class NewPassword(Input):
    """The password in force and the one to come."""

    old_password = _password(is_new=False)
    new_password = _password(is_new=True)


class PasswordProof(Input):
    """The password in force."""

    password = _password(is_new=False)


class NewApiKey(Input):
    """What the key is for."""

    name = Name(required=True, metadata={"example": "laptop"})


class ApiKeyCreated(Schema):
    """The new key, shown this once."""

    api_key = fields.String(required=True)
    key_id = fields.UUID(required=True)
    name = fields.String(required=True)


class ApiKeyShape(Schema):
    """An API key, without its text."""

    key_id = fields.UUID(required=True, attribute="id")
    name = fields.String(required=True)
    prefix = fields.String(required=True, metadata={"description": "How the key begins."})
    created_at = Moment(required=True)
    last_used_at = Moment(required=True, allow_none=True, metadata={"description": "Exact to a minute."})


class ApiKeys(Schema):
    """API keys, oldest first."""

    api_keys = fields.List(fields.Nested(ApiKeyShape), required=True)


class TicketFor(Input):
    """The WebSocket that is to be opened."""

    path = fields.String(
        required=True,
        validate=[validate.Length(max=2000), validate.Regexp(r"/[^?#\s]*\Z", error="Not a path.")],
        metadata={"example": "/runcmngr"},
    )


class Ticket(Schema):
    """A string that opens one WebSocket, once."""

    ticket = fields.String(required=True)
    expires_at = Moment(required=True)
