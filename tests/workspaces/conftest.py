"""People around a workspace."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.accounts.conftest import notices
from tests.accounts.factories import Person, new_person

__all__ = ["notices"]


@pytest.fixture
def anna(app: Flask) -> Person:
    """The one whose workspace it is."""
    return new_person(app, "anna@example.com")


@pytest.fixture
def ben(app: Flask) -> Person:
    """Somebody without a part in it, until they are given one."""
    return new_person(app, "ben@example.com")


@pytest.fixture
def workspace_id(anna: Person) -> str:
    """A workspace of Anna's."""
    return str(anna.post("/workspace", json={"name": "Research"}).json["workspace"]["workspace_id"])
