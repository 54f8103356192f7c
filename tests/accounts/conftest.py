"""Somebody signed in, and the notices that the processes of a server would get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from flask import Flask

from server.kit.redis import client as redis_client
from server.realtime.control import CHANNEL
from tests.accounts.factories import Person, new_person


@pytest.fixture
def anna(app: Flask) -> Person:
    """The first user, and so the administrator."""
    return new_person(app, "anna@example.com")


@pytest.fixture
def ben(app: Flask, anna: Person) -> Person:
    """Another user."""
    return new_person(app, "ben@example.com")


@pytest.fixture
def notices(app: Flask) -> Iterator[Callable[[], list[Any]]]:
    """Returns the notices told since it was last called, as [kind, facts]."""
    with redis_client().pubsub() as ear:
        ear.subscribe(CHANNEL)
        ear.get_message(timeout=5)

        def heard() -> list[Any]:
            redis_client().publish(CHANNEL, b"null")
            said = []
            while (said_now := orjson.loads(ear.get_message(timeout=5)["data"])) is not None:
                said.append(said_now)
            return said

        yield heard
