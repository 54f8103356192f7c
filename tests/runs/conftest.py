"""What tests of runs share: a writer in the test's own process, and an account to own the runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask

from server.settings import Settings
from tests.runs import factories
from tests.runs.factories import Scribe


@pytest.fixture
def owner_id(app: Flask) -> uuid.UUID:
    return factories.owner()


@pytest.fixture
def scribe(app: Flask, settings: Settings) -> Iterator[Scribe]:
    """A writer that has begun to write."""
    made = Scribe(settings)
    made.writer.start()
    yield made
    made.writer.stop()
