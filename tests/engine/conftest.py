"""The engine in the test's own process: real loops, real state in PostgreSQL, agents that the tests bring."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from server.engine.job import AgentSource, Job, Outcome
from server.engine.room import Engine, Task
from server.kit.db import driver_url
from server.runs.leases import FENCE_SQL
from server.settings import Settings
from tests.runs import factories

GRAPHS = Path(__file__).parents[1] / "graphs"


@dataclass
class Heard:
    """A job at work: what it said, and how it ended."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    kept: list[Sequence[str]] = field(default_factory=list)
    outcomes: list[Outcome | None] = field(default_factory=list)
    is_full: bool = False
    task: Task | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def resumed(self, kept_message_ids: Sequence[str]) -> None:
        self.kept.append(list(kept_message_ids))

    def end(self, outcome: Outcome | None) -> None:
        self.outcomes.append(outcome)
        self._ended.set()

    def outcome(self, within_s: float = 20.0) -> Outcome | None:
        """How it ended; waits for it."""
        assert self._ended.wait(within_s), "the job did not end"
        return self.outcomes[0]

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def text(self) -> str:
        return "".join(data["delta"] for kind, data in self.events if kind == "token")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.events if each == kind]


def source(name: str, *, agent_id: str | None = None, folder: Path = GRAPHS) -> AgentSource:
    """One of the agents for tests."""
    return AgentSource(agent_id or name, f"{folder}/agents.py:{name}", str(folder))


def written(folder: Path, code: str, *, variable: str = "graph", agent_id: str = "mine") -> AgentSource:
    """An agent whose file has this code."""
    (folder / "agent.py").write_text(code)
    return AgentSource(agent_id, f"{folder}/agent.py:{variable}", str(folder))


@pytest.fixture
def engine(app: Flask, settings: Settings) -> Iterator[Engine]:
    url = driver_url(settings.database_url)
    made = Engine(url, FENCE_SQL, search=lambda *_: [], block_s=0.5, max_runs=64)
    made.open()
    yield made
    made.close()


@pytest.fixture
def owner_id(app: Flask) -> uuid.UUID:
    return factories.owner()


@pytest.fixture
def begin(engine: Engine, settings: Settings, owner_id: uuid.UUID) -> Callable[..., Heard]:
    """Begin a job of an agent with a message, in a run that holds its lease."""

    def begun(agent: AgentSource, text: str = "", **options: Any) -> Heard:
        lease = options.pop("lease", None) or factories.claimed(settings, factories.accepted(owner_id))
        values = {
            "run_id": lease.run_id,
            "attempt": lease.attempt,
            "owner_id": lease.owner_id,
            "agent": agent,
            "thread_id": str(lease.run_id),
            "input": {"messages": [{"role": "user", "content": text}]},
            "resume": None,
            "context": {},
            "timeout_s": 30.0,
            "max_output_bytes": 10 * 2**20,
            "is_retry": False,
            "is_fresh": True,
            **options,
        }
        heard = Heard()
        heard.task = engine.submit(Job(**values), heard, heard.end)
        return heard

    return begun
