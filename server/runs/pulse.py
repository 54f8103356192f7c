"""The pulse of a worker process: counts its heartbeat up, and at each beat looks after the runs that it holds."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING

from server.engine.room import Task
from server.kit.whereabouts import memory_bytes
from server.runs import leases

if TYPE_CHECKING:
    from server.runs.host import Held, Host

__all__ = ["Pulse"]

log = logging.getLogger(__name__)

STOP_GRACE_S = 5.0  # how long an agent may take to hear a stop before its run ends without it
TOO_LARGE = 4  # exit code of a worker whose memory is over the limit
RECYCLED = 3  # exit code of a worker that leaves a thread behind


class Pulse:
    """The heartbeat of a host; its thread ends when the host stops."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._strays: set[uuid.UUID] = set()

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._beat_forever, name="heartbeat", daemon=True).start()

    def _beat_forever(self) -> None:
        while not self._host.stopping.wait(self._host.settings.heartbeat_s):
            try:
                with self._host.app.app_context():
                    self._beat()
            except Exception as error:
                # Whatever it is: a worker whose pulse stops is taken for dead.
                log.warning("worker.beat_failed", extra={"facts": {"kind": type(error).__name__}}, exc_info=error)

    def _beat(self) -> None:
        host = self._host
        mine = leases.beat(host.worker_id, runs=len(host.held()))
        if mine is None:
            self._enter_anew()
            return
        for run_id in [run_id for run_id, is_unwanted in mine.items() if is_unwanted]:
            host.stop_run(run_id)
        self._give_back_strays(set(mine))
        self._rescue_stuck()
        self._give_up_on_deaf()
        self._give_up_if_too_large()

    def _enter_anew(self) -> None:
        """Others have taken this worker for dead and its runs with it: drop them and enter again."""
        host = self._host
        log.warning("worker.struck_out", extra={"facts": {"worker_id": host.worker_id, "runs": len(host.held())}})
        for held in host.held():
            host.lost(held.lease)
        host.worker_id = leases.register(is_alone=host.is_alone)

    def _give_back_strays(self, mine: set[uuid.UUID]) -> None:
        """Give back what is ours by its row alone, two beats in a row: the answer to its claim was lost on the way."""
        strays = mine - {held.lease.run_id for held in self._host.held()}
        for run_id in strays & self._strays:
            log.warning("worker.gives_back_stray", extra={"facts": {"run_id": run_id}})
            leases.give_back(run_id, self._host.worker_id)
        self._strays = strays

    def _rescue_stuck(self) -> None:
        """Give runs back that stand behind another agent's blocked code; they begin again from their last checkpoint."""
        for held in self._host.held():
            if held.task is not None and self._host.engine.is_stuck(held.task):
                log.warning("worker.rescues_run", extra={"facts": {"run_id": held.lease.run_id, "agent_id": held.lease.agent_id}})
                held.task.stop(None)
                self._host.forget(held)
                leases.release(held.lease)

    def _give_up_on_deaf(self) -> None:
        """End runs whose agent did not hear a stop or its deadline."""
        now = time.monotonic()
        for held in self._host.held():
            is_late = now - held.began_at > held.lease.timeout_s + STOP_GRACE_S
            is_deaf = held.stopped_at is not None and now - held.stopped_at > STOP_GRACE_S
            if held.task is not None and (is_late or is_deaf):
                self._abandon(held, held.task, "cancelled" if is_deaf else "timeout")

    def _abandon(self, held: Held, task: Task, status: str) -> None:
        """End the run without its agent. A thread that does not turn cannot be ended, only left behind with its process."""
        log.error("worker.abandons_run", extra={"facts": {"run_id": held.lease.run_id, "agent_id": held.lease.agent_id}})
        self._host.end_without_agent(held, status, code=status, message="The agent did not stop when it was told to.")
        if self._host.engine.is_blocked(task):
            threading.Thread(target=self._recycle, name="recycle", daemon=True).start()

    def _recycle(self) -> None:
        """Hand everything over and exit; the supervisor starts another worker."""
        self._host.drain(self._host.settings.drain_s)
        os._exit(RECYCLED)

    def _give_up_if_too_large(self) -> None:
        """Over the memory limit a run that is alone ends as an error; with others this process ends, and alone each will show."""
        host = self._host
        if memory_bytes() <= host.settings.worker_memory_bytes:
            return
        log.error("worker.too_large", extra={"facts": {"worker_id": host.worker_id, "runs": len(host.held())}})
        if not host.is_alone:
            os._exit(TOO_LARGE)
        for held in host.held():
            host.end_without_agent(held, "error", code="out_of_memory", message="The agent used more memory than it may.")
