"""What all tests share: real servers in a temporary folder, one database a session, the app over it, and a whole server to kill.

Nothing here reads the environment of whoever runs the tests: settings come from their defaults and from what a fixture says.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.kit.embedded.attachment import attach
from server.settings import Settings, load
from tests.stack import Stack

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

PASSWORD = "correct horse battery"
TESTS = Path(__file__).parent
# Where the files are that take long: they begin first, so that no process is left with one of them at the end.
LONG = ("page", "journeys")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first; else the order stays."""
    items.sort(key=lambda item: item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] not in LONG)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for unix sockets, and that no other test run tidies up."""
    folder = Path(tempfile.mkdtemp(prefix="parley-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(short_folder: Path) -> Iterator[Settings]:
    """Settings with the addresses of a running PostgreSQL and Valkey that belong to this test session alone."""
    with attach(load({}, data_dir=short_folder / "data", debug=True, async_mode="threading")) as attachment:
        yield attachment.settings


@pytest.fixture(scope="session")
def migrated_app(settings: Settings) -> Flask:
    """The app of this session over a migrated database. Tests take `app`, which is also emptied."""
    from server.app import create_app
    from server.kit import migration

    app = create_app(settings)
    app.testing = True
    with app.app_context():
        migration.upgrade(settings.database_url)
    return app


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """The app over an empty database and an empty Redis; the test runs inside its context."""
    from server.kit.db import db
    from server.kit.redis import client as redis_client

    with migrated_app.app_context():
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(table.delete())
        db.session.commit()
        redis_client().flushdb()
        yield migrated_app
        db.session.rollback()
        db.session.remove()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app that nobody has signed in."""
    return app.test_client()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A whole server as `parley run` starts it, on a free port; killed processes come back by themselves."""
    running = Stack.started()
    yield running
    running.stop()
