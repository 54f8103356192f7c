"""Memory with and without an index, and somebody who remembers."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from server.agents import catalogue
from server.settings import Settings
from tests.runs import factories

Configure = Callable[..., None]


@pytest.fixture
def owner_id(app: Flask) -> uuid.UUID:
    return factories.owner()


@pytest.fixture
def configure(app: Flask, settings: Settings, tmp_path: Path) -> Iterator[Configure]:
    """Puts a `langgraph.json` with this `store` in force."""

    def configured(**store: Any) -> None:
        (tmp_path / "agent.py").write_text("graph = None\n")
        (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"one": "./agent.py:graph"}, "store": store}))
        made = catalogue.install(app, dataclasses.replace(settings, agents_config=str(tmp_path / "langgraph.json")))
        assert made.problems() == ()

    yield configured
    catalogue.install(app, settings)
