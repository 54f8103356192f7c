"""Rooms above let go of what is deleted, in the transaction that deletes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask

from server.accounts.farewells import before_delete
from server.accounts.models import user_by_id
from server.kit.errors import Conflict
from tests.accounts.factories import PASSWORD, Person


@pytest.fixture(autouse=True)
def farewells_as_before(app: Flask) -> Iterator[None]:
    """The app as the other tests know it."""
    before = {what: list(each) for what, each in app.extensions.get("farewells", {}).items()}
    yield
    app.extensions["farewells"] = before


def test_a_room_lets_go_of_a_user_who_is_still_there(app: Flask, anna: Person, ben: Person) -> None:
    seen: list[tuple[str, bool]] = []
    before_delete("user", app, lambda user_id: seen.append((str(user_id), user_by_id(user_id) is not None)))

    anna.delete("/user", json={"password": "wrong"})
    anna.delete("/user", json={"password": PASSWORD})

    assert seen == [(anna.user_id, True)]


def test_a_user_stays_when_a_room_cannot_let_go(app: Flask, anna: Person) -> None:
    def refuse(_: uuid.UUID) -> None:
        raise Conflict("Not now.")

    before_delete("user", app, refuse)

    assert anna.delete("/user", json={"password": PASSWORD}).status_code == 409
    assert anna.get("/user").status_code == 200
