"""People with accounts, as tests of every room need them, and requests that stand each in a context of its own."""

from __future__ import annotations

import contextvars
import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"

_numbers = itertools.count(1)


def ask(app: Flask, method: str, path: str, **options: Any) -> TestResponse:
    """The answer to one request. It shares no context with the test around it, as a real request shares none."""
    return contextvars.Context().run(app.test_client().open, path, method=method, **options)


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Person:
    """Somebody signed in."""

    app: Flask
    email: str
    user_id: str
    password: str = PASSWORD
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def access(self) -> str:
        """Their access token."""
        return str(self.tokens["access_token"])

    @property
    def refresh(self) -> str:
        """Their refresh token."""
        return str(self.tokens["refresh_token"])

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        """The answer to a request of theirs."""
        return ask(self.app, method, path, headers=bearer(self.access), **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        """The answer to a GET of theirs."""
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        """The answer to a POST of theirs."""
        return self.ask("POST", path, **options)

    def put(self, path: str, **options: Any) -> TestResponse:
        """The answer to a PUT of theirs."""
        return self.ask("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        """The answer to a DELETE of theirs."""
        return self.ask("DELETE", path, **options)

    def sign_in_again(self) -> Person:
        """The same person, signed in once more."""
        return sign_in(self.app, self.email, self.password)


def new_person(app: Flask, email: str | None = None) -> Person:
    """Somebody new, registered and signed in over HTTP."""
    email = email or f"person{next(_numbers)}@example.com"
    made = ask(app, "POST", "/register", json={"email": email, "password": PASSWORD})
    assert made.status_code == 200, made.text
    return sign_in(app, email, PASSWORD)


def sign_in(app: Flask, email: str, password: str) -> Person:
    """The person of an account, signed in over HTTP."""
    answer = ask(app, "POST", "/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return Person(app, email, answer.json["user_id"], password, answer.json)


@contextmanager
def setting(app: Flask, **values: Any) -> Iterator[None]:
    """Other settings for a while."""
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(before, **values)
    try:
        yield
    finally:
        app.config["SETTINGS"] = before
