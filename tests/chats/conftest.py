"""The chats' doors, opened in the test's own process over real servers: no worker runs, so that a run stays as it was accepted."""

from __future__ import annotations

import copy
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from server.chats.models import stream_of
from server.kit.db import commit
from server.kit.http import parse_id
from server.realtime import log
from server.settings import Settings
from tests.chats.raw import Raw
from tests.talk import PASSWORD, Person


class QuietHandler(WSGIRequestHandler):
    """Says nothing about requests."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing."""


class Door:
    """The app behind a real socket of this machine."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and end those that are open."""
        self.server.shutdown()
        self.server.server_close()
        for seat in list(self.rooms.seats.values()):
            self.rooms.leave(seat.sid)
            seat.wire.cut()

    def happen(self, chat_id: str, kind: str, *, times: int = 1, **facts: Any) -> None:
        """Let an event happen in a chat so many times, in one transaction."""
        with self.app.app_context():
            for _ in range(times):
                log.append(stream_of(parse_id(chat_id)), kind, facts)  # type: ignore[arg-type]
            commit()

    def open(self, person: Person, chat_id: str, *, since: int | None = None) -> Raw:
        """A socket of a person in a chat, let in."""
        raw = Raw(self.url, {"connection_string": person.connection_string(chat_id)}, since=since)
        assert raw.greeting[0] == "accepted", raw.greeting
        raw.until_event("session")
        return raw

    @property
    def rooms(self) -> Any:
        """The open sockets of this process."""
        return self.app.extensions["chat_gate"].rooms


MakeDoor = Callable[..., Door]


def again(person: Person) -> Person:
    """The same person, signed in once more, elsewhere."""
    elsewhere = copy.copy(person)
    elsewhere.http = requests.Session()
    elsewhere.tokens = elsewhere.call("POST", "/auth/login", json={"email": person.email, "password": PASSWORD})
    elsewhere.http.headers["Authorization"] = f"Bearer {elsewhere.tokens['access_token']}"
    return elsewhere


@pytest.fixture(scope="session")
def doors(migrated_app: Flask, settings: Settings) -> Iterator[MakeDoor]:
    """Makes doors with other settings; all are over the same database."""
    from server.app import create_app

    opened: dict[tuple[tuple[str, Any], ...], Door] = {}

    def make(**values: Any) -> Door:
        key = tuple(sorted(values.items()))
        if key not in opened:
            opened[key] = Door(create_app(dataclasses.replace(settings, **{"async_mode": "threading", "message_rate": 100_000, **values})))
        return opened[key]

    yield make
    for door in opened.values():
        door.close()
    # Its thread outlives the servers, and would say that they are away.
    logging.getLogger("server.realtime.tail").disabled = True


@pytest.fixture(scope="module")
def door(doors: MakeDoor) -> Door:
    """A door with plain settings."""
    return doors()


@pytest.fixture(scope="module")
def ada(door: Door) -> Person:
    """Somebody with chats of their own."""
    return Person(door.url)


@pytest.fixture(scope="module")
def ben(door: Door) -> Person:
    """Somebody else."""
    return Person(door.url)


@pytest.fixture(scope="module")
def workspace_id(ada: Person) -> str:
    """A workspace of Ada's, with an agent."""
    return ada.workspace("echo")


@pytest.fixture
def chat_id(ada: Person, workspace_id: str) -> str:
    """A new chat of Ada's."""
    return ada.chat(workspace_id=workspace_id)
