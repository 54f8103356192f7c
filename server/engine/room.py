"""The engine of a worker process: takes jobs, carries each out on its agent's loop, and hands the outcome back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from server.engine import graphs, statetypes
from server.engine.checkpoints import Checkpoints
from server.engine.drawing import Look, look
from server.engine.embedding import embed
from server.engine.execute import Reason, execute
from server.engine.httploops import keep_loops_apart
from server.engine.job import AgentSource, Emit, Job, Outcome, Search
from server.engine.loops import Errand, Loops
from server.engine.memory import RunStore
from server.engine.recall import Memory, Purpose
from server.engine.snapshots import Snapshots
from server.engine.state import StateRoom
from server.engine.statewriter import LeaseLost

__all__ = ["Engine", "Task"]

log = logging.getLogger(__name__)

LOOK_S = 12.0  # less than whoever asks for it waits
EMBED_S = 12.0  # likewise

Ended = Callable[[Outcome | None], None]


@dataclass
class Task:
    """A job in progress."""

    job: Job
    reason: Reason
    errand: Errand

    def stop(self, code: str | None) -> None:
        """Stop at the next await. With a code it ends as cancelled; without, it is given up and has no outcome."""
        self.reason.code = code
        self.reason.is_given_up = code is None
        self.errand.cancel()


class Engine:
    """Loops, state and memory of a worker process.

    fence_sql: asked in every checkpoint's transaction which attempts hold their lease (see StateWriter).
    memory: what agents remember; without it their store has the workspace's documents alone.
    """

    def __init__(
        self, database_url: str, fence_sql: str, *, search: Search, block_s: float, max_runs: int, memory: Memory | None = None
    ) -> None:
        self._room = StateRoom(database_url, fence_sql)
        self._loops = Loops(block_s=block_s, max_threads=max_runs)
        self._search = search
        self._memory = memory
        self.snapshots = Snapshots(self._room, self._loops)
        self.checkpoints = Checkpoints(self._room)

    def open(self) -> None:
        """Connect; returns when jobs can be taken."""
        keep_loops_apart()
        statetypes.listen()
        self._room.open()

    def close(self) -> None:
        """Disconnect; no job may be in progress."""
        self._room.close()

    def submit(self, job: Job, emit: Emit, ended: Ended) -> Task:
        """Begin a job; `ended` is called once, from any thread, with its outcome, or None when it was given up or lost its lease."""
        reason = Reason()
        workspace_id = job.context.get("workspace_id")
        store = RunStore(self._search, str(workspace_id) if workspace_id else None, memory=self._memory, owner_id=job.owner_id)
        errand = self._loops.submit(job.agent.agent_id, job.agent.folder, execute(job, emit, self._room, store, reason))
        errand.future.add_done_callback(lambda done: _tell(done, reason, ended))
        return Task(job, reason, errand)

    def forget(self, thread_ids: Sequence[str]) -> None:
        """Delete the checkpoints of threads; blocks."""
        self._room.wait_for(self._room.saver.aprune(list(thread_ids), strategy="delete"))

    def look(self, asked: Look) -> dict[str, Any]:
        """What an agent's graph looks like; blocks, LOOK_S at most. Raises AgentBroken, TimeoutError, and what the agent's code raises."""
        errand = self._loops.submit(asked.source.agent_id, asked.source.folder, look(asked))
        try:
            return errand.future.result(LOOK_S)  # type: ignore[no-any-return]
        finally:
            errand.cancel()

    def attend(self, name: str, home: str, work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        """What user code that is no agent's returns, on a loop of its own; blocks. Raises TimeoutError, and what the code raises."""
        errand = self._loops.submit(name, f"{home}#{name}", work)
        try:
            return errand.future.result(timeout_s)
        finally:
            errand.cancel()

    def embed(self, source: AgentSource, texts: Sequence[str], purpose: Purpose) -> list[list[float]]:
        """A vector for each text, by the embedding that a source names; blocks, EMBED_S at most. Raises what `attend` raises."""
        made: list[list[float]] = self.attend(source.agent_id, source.folder, embed(source, texts, purpose), EMBED_S)
        return made

    def is_blocked(self, task: Task) -> bool:
        """Whether the loop that the task is on does not turn, so that the task cannot hear a stop."""
        return self._loops.is_blocked(task.errand.loop)

    def is_stuck(self, task: Task) -> bool:
        """Whether another agent's code has blocked the task's loop for long, so that it should begin again elsewhere."""
        return task.errand.is_stuck()

    def reload(self) -> None:
        """Forget the agents' code; each is opened anew at its next run."""
        graphs.forget()


def _tell(done: Future[Any], reason: Reason, ended: Ended) -> None:
    try:
        outcome = done.result()
    except CancelledError:
        outcome = Outcome("cancelled") if reason.code else None
    except LeaseLost:
        outcome = None
    except BaseException:
        log.exception("engine.bug")
        outcome = Outcome("error", error={"code": "internal", "message": "Internal server error", "retryable": False})
    ended(outcome)
