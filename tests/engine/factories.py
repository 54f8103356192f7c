"""Jobs for the engine, agents written into a folder, and an ear for what a run says."""

from __future__ import annotations

import asyncio
import textwrap
import uuid
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from server.engine.execute import Reason, execute
from server.engine.job import AgentSource, Job, Outcome
from server.engine.memory import RunStore
from server.engine.state import StateRoom

HERE = Path(__file__).parent
STALE = 100
# Attempts below STALE hold their lease, whatever the run.
FENCE_SQL = f"SELECT id, attempt FROM unnest(%s::uuid[], %s::int[]) AS asked(id, attempt) WHERE attempt < {STALE}"

T = TypeVar("T")


class Ear:
    """Hears what a run says."""

    is_full = False

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.kept: list[str] | None = None

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.heard.append((kind, data))

    def resumed(self, kept_message_ids: Sequence[str]) -> None:
        self.kept = list(kept_message_ids)

    def text(self) -> str:
        """All tokens, joined."""
        return "".join(data["delta"] for kind, data in self.heard if kind == "token")

    def steps(self) -> list[tuple[str, str]]:
        """The steps that began and ended."""
        return [(data["name"], data["phase"]) for kind, data in self.heard if kind == "step"]


def source(variable: str, folder: Path = HERE, file: str = "agents.py", agent_id: str | None = None) -> AgentSource:
    """An agent of a file."""
    return AgentSource(agent_id or variable, f"{folder / file}:{variable}", str(folder))


def written(folder: Path, code: str, variable: str = "graph", file: str = "agent.py") -> AgentSource:
    """An agent whose code is written into a folder."""
    (folder / file).write_text(textwrap.dedent(code))
    return source(variable, folder, file, agent_id=f"agent-{uuid.uuid4().hex[:8]}")


def job(agent: AgentSource | str, said: str = "hello", **options: Any) -> Job:
    """A first attempt at a run of an agent, on a thread of its own."""
    run_id = options.pop("run_id", None) or uuid.uuid4()
    values: dict[str, Any] = {
        "run_id": run_id,
        "attempt": 1,
        "agent": source(agent) if isinstance(agent, str) else agent,
        "thread_id": str(run_id),
        "input": {"messages": [{"role": "user", "content": said, "id": f"said-{uuid.uuid4().hex[:8]}"}]},
        "resume": None,
        "context": {},
        "timeout_s": 20.0,
        "max_output_bytes": 1_000_000,
        "is_retry": False,
        "is_fresh": False,
    }
    return Job(**{**values, **options})


def no_documents(workspace_id: str, query: str, limit: int) -> list[dict[str, Any]]:
    """A search that finds nothing."""
    return []


def carried_out(room: StateRoom, what: Job, ear: Ear | None = None, *, store: RunStore | None = None) -> Outcome:
    """How a job ended, in a loop of its own."""
    return within(execute(what, ear or Ear(), room, store or RunStore(no_documents, None), Reason()))


def within(work: Coroutine[Any, Any, T], *, seconds: float = 30) -> T:
    """What `work` returns; an error when that takes too long."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, seconds)

    return asyncio.run(bounded())
