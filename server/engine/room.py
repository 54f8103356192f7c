"""The engine of a worker process: takes jobs, carries each out on its agent's loop, and hands the outcome back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from server.engine import graphs, statetypes
from server.engine.execute import Reason, execute
from server.engine.httploops import keep_loops_apart
from server.engine.job import Emit, Job, Outcome, Search
from server.engine.loops import Errand, Loops
from server.engine.memory import RunStore
from server.engine.state import StateRoom
from server.engine.statewriter import LeaseLost

__all__ = ["Engine", "Task"]

log = logging.getLogger(__name__)

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
    """

    def __init__(self, database_url: str, fence_sql: str, *, search: Search, block_s: float, max_runs: int) -> None:
        self._room = StateRoom(database_url, fence_sql)
        self._loops = Loops(block_s=block_s, max_threads=max_runs)
        self._search = search

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
        store = RunStore(self._search, str(workspace_id) if workspace_id else None)
        errand = self._loops.submit(job.agent.agent_id, job.agent.folder, execute(job, emit, self._room, store, reason))
        errand.future.add_done_callback(lambda done: _tell(done, reason, ended))
        return Task(job, reason, errand)

    def forget(self, thread_ids: Sequence[str]) -> None:
        """Delete the checkpoints of threads; blocks."""
        self._room.wait_for(self._room.saver.aprune(list(thread_ids), strategy="delete"))

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
