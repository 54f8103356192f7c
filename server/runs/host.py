"""The host of a worker process: claims runs, lets the engine carry them out, writes what they say, and gives them back when it stops."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import sqlalchemy as sa
from flask import Flask

from server.agents import catalogue
from server.engine.job import AgentSource, Job, Options, Outcome
from server.engine.room import Engine, Task
from server.kit.db import commit, db, driver_url
from server.kit.migration import libpq_url
from server.kit.queue import celery
from server.realtime import control
from server.realtime.models import EventRow
from server.runs import actions, leases
from server.runs.actions import follow, wake, wake_any
from server.runs.leases import Lease
from server.runs.ledger import Ledger
from server.runs.memories import WorkerMemory
from server.runs.models import Run
from server.runs.pulse import Pulse
from server.runs.rules import answers, asked
from server.runs.writer import Ending, Writer
from server.settings import Settings
from server.workspaces.documents import actions as documents

__all__ = ["Host"]

log = logging.getLogger(__name__)

SLOT_WAIT_S = 0.5
BATCH = 8  # runs that are claimed at once
FOLLOW_UPS = 4  # follow-ups that this process does at once


@dataclass
class Held:
    """A run that this process holds."""

    lease: Lease
    task: Task | None = None
    stop_code: str | None = None
    stopped_at: float | None = None
    began_at: float = field(default_factory=time.monotonic)


class Voice:
    """What an agent says while it works goes to the writer, under the run's lease."""

    def __init__(self, host: Host, lease: Lease) -> None:
        self._host = host
        self._lease = lease

    def __call__(self, kind: str, data: dict[str, Any] | bytes) -> None:
        """Take one event."""
        self._host.writer.emit(self._lease, kind, data)

    def resumed(self, kept_message_ids: Sequence[str]) -> None:
        """Tell the readers that another attempt goes on, and from which number on the tokens of the earlier ones do not count."""
        data: dict[str, Any] = {"run_id": str(self._lease.run_id), "status": "running", "attempt": self._lease.attempt}
        superseded = None if self._lease.options else self._host.first_superseded(self._lease, kept_message_ids)
        if superseded is not None:
            data["supersedes"] = superseded
        self._host.writer.emit(self._lease, "run", data)

    @property
    def is_full(self) -> bool:
        """Whether the database cannot keep up."""
        return self._host.writer.is_full


class Host:
    """Everything a worker process needs to carry runs.

    alone: this process carries one run and no other.
    hand_on: given the id of a run that has to be carried out alone.
    """

    def __init__(self, app: Flask, *, alone: bool = False, hand_on: Callable[[uuid.UUID], None] | None = None) -> None:
        settings: Settings = app.config["SETTINGS"]
        self.app = app
        self.settings = settings
        self.is_alone = alone
        self._hand_on = hand_on
        self._lock = threading.Lock()
        self._held: dict[uuid.UUID, Held] = {}
        self._slots = threading.BoundedSemaphore(settings.worker_runs)
        self.stopping = threading.Event()
        self._idle = threading.Event()
        self._stopped = threading.Event()
        self._claims = Ledger(libpq_url(settings.database_url), name="parley-claim")
        self._claiming = threading.Lock()
        self._follow_ups = ThreadPoolExecutor(FOLLOW_UPS, thread_name_prefix="then")
        self.worker_id = uuid.UUID(int=0)
        self.writer = Writer(
            libpq_url(settings.database_url), refused=self.lost, unwanted=self._cancel_waiting, freed=_wake_freed, followed=follow
        )
        self.memory = WorkerMemory(app, lambda: self.engine)
        self.engine = Engine(
            driver_url(settings.database_url),
            leases.FENCE_SQL,
            search=self._documents,
            memory=self.memory,
            block_s=settings.block_s,
            max_runs=settings.worker_runs,
        )

    def start(self) -> None:
        """Enter as a worker; runs can be taken when this returns."""
        self.engine.open()
        self.writer.start()
        with self.app.app_context():
            self.worker_id = leases.register(is_alone=self.is_alone)
        control.on("runs.cancel", self._cancel_heard)
        control.on("agents.reloaded", self._reload)
        control.listen()
        Pulse(self).start()
        log.info("worker.started", extra={"facts": {"worker_id": self.worker_id, "alone": self.is_alone}})

    def held(self) -> list[Held]:
        """The runs that this process holds now."""
        with self._lock:
            return list(self._held.values())

    # -- taking ------------------------------------------------------------------------------------------------------

    def take(self, run_id: uuid.UUID) -> bool:
        """Claim a run and begin it; whether it was to be had. Waits while this process carries as many as it may."""
        while not self._slots.acquire(timeout=SLOT_WAIT_S):
            if self.stopping.is_set():
                break
        if self.stopping.is_set():
            self._stopped.wait(SLOT_WAIT_S)  # should the queue give it to this process again, it goes round slowly
            wake(run_id, alone=True)
            return False
        try:
            with self._claiming:
                lease = leases.claim(self._claims, run_id, self.worker_id, alone=self.is_alone)
        except BaseException:
            self._slots.release()
            raise
        if lease is None:
            self._slots.release()
            self._hand_on_if_alone(run_id)
            return False
        self._begin(lease)
        return True

    def take_due(self) -> None:
        """Claim the runs that have waited longest and begin them, as long as there are any and this process may carry more.

        Between two batches it is rung for anew, so that other workers get theirs.
        """
        while True:
            room = self._room()
            if room == 0 or self.stopping.is_set():
                self._stopped.wait(SLOT_WAIT_S)  # should the queue give it to this process again, it goes round slowly
                self._give_room_back(room)
                wake_any()
                return
            taken: list[Lease] = []
            try:
                with self._claiming:
                    taken = leases.claim_due(self._claims, self.worker_id, limit=room)
            finally:
                self._give_room_back(room - len(taken))
            for lease in taken:
                self._begin(lease)
            if len(taken) < room:
                return
            wake_any()

    def _room(self) -> int:
        """How many runs may be claimed now; their slots are taken."""
        return sum(self._slots.acquire(blocking=False) for _ in range(BATCH))

    def _give_room_back(self, slots: int) -> None:
        for _ in range(slots):
            self._slots.release()

    def _displace(self, stale: Held) -> None:
        """Let go of an earlier attempt at a run that was claimed again, which this process has not noticed to be stale."""
        if stale.task is not None:
            stale.task.stop(None)
        self._slots.release()

    def _hand_on_if_alone(self, run_id: uuid.UUID) -> None:
        if self._hand_on is None or self.stopping.is_set():
            return
        waiting = sa.select(Run.id).where(Run.id == run_id, Run.status == "pending", Run.is_alone)
        with db.engine.connect() as connection:
            is_waiting = connection.scalar(waiting) is not None
        if is_waiting:
            self._hand_on(run_id)

    def _begin(self, lease: Lease) -> None:
        held = Held(lease)
        with self._lock:
            stale = self._held.get(lease.run_id)
            self._held[lease.run_id] = held
            self._idle.clear()
        if stale is not None:
            self._displace(stale)
        agent = catalogue.get(lease.agent_id)
        if agent is None:
            self.end_without_agent(held, "error", code="agent_gone", message=f"There is no agent {lease.agent_id!r} any more.")
            return
        options = Options.stored(lease.options)
        job = Job(
            run_id=lease.run_id,
            attempt=lease.attempt,
            owner_id=lease.owner_id,
            agent=AgentSource(agent.agent_id, agent.graph, agent.folder, agent.env, agent.dependencies),
            thread_id=lease.thread_id or str(lease.run_id),
            input=lease.input,
            resume=answers(lease.command),
            context=lease.context,
            timeout_s=lease.timeout_s,
            max_output_bytes=self.settings.max_output_bytes,
            is_retry=lease.attempt > 1,
            is_fresh=lease.attempt == 1 and (options.is_fresh if options else lease.thread_id is None),
            options=options,
        )
        held.task = self.engine.submit(job, Voice(self, lease), lambda outcome: self._ended(held, outcome))
        if held.stop_code is not None:
            held.task.stop(held.stop_code)

    # -- ending ------------------------------------------------------------------------------------------------------

    def _ended(self, held: Held, outcome: Outcome | None) -> None:
        if outcome is None:
            self._given_up(held)
            return
        lease = held.lease
        interrupts = outcome.interrupts if lease.thread_key else asked(outcome.interrupts, lease.attempt)
        ending = Ending(lease, outcome.status, outcome.output, outcome.error, interrupts, outcome.values, outcome.last_words)
        self.writer.end(replace(ending, written=lambda is_mine: self._written(held, ending, is_mine=is_mine)))

    def _given_up(self, held: Held) -> None:
        if self.stopping.is_set():
            self.writer.end(Ending(held.lease, "pending", written=lambda is_mine: self._given_back(held, is_mine=is_mine)))
        else:
            self.forget(held)

    def _given_back(self, held: Held, *, is_mine: bool) -> None:
        self.forget(held)
        if is_mine:
            wake(held.lease.run_id, alone=self.is_alone)

    def _written(self, held: Held, ending: Ending, *, is_mine: bool) -> None:
        took_ms = round((time.monotonic() - held.began_at) * 1000, 1)
        facts = {"run_id": held.lease.run_id, "agent_id": held.lease.agent_id, "attempt": held.lease.attempt}
        log.info("run.finished", extra={"facts": {**facts, "status": ending.status if is_mine else "refused", "took_ms": took_ms}})
        if self.forget(held) and is_mine and held.lease.then is not None and ending.is_over:
            self._follow_up(held.lease)

    def _follow_up(self, lease: Lease) -> None:
        """Do at once, in this process, what follows the run; when that fails or dies the sweep queues it."""
        self._follow_ups.submit(_quietly, celery.tasks[lease.then], str(lease.run_id))

    def end_without_agent(self, held: Held, status: str, *, code: str, message: str) -> None:
        """End a run whose agent cannot say how it ended."""
        held.task = None
        self._ended(held, Outcome(status, error={"code": code, "message": message, "retryable": False}))

    def forget(self, held: Held) -> bool:
        """Hold a run no longer; whether it was held."""
        with self._lock:
            if self._held.get(held.lease.run_id) is not held:
                return False
            del self._held[held.lease.run_id]
            if not self._held:
                self._idle.set()
        self._slots.release()
        return True

    def first_superseded(self, lease: Lease, kept_message_ids: Sequence[str]) -> int | None:
        """The number of the first token of earlier attempts whose message no checkpoint holds; None when all count."""
        number = EventRow.seq if lease.stream else EventRow.run_seq
        tokens = sa.select(number, EventRow.data).where(EventRow.run_id == lease.run_id, EventRow.type == "token").order_by(number)
        kept = set(kept_message_ids)
        with self.app.app_context(), db.engine.connect() as connection:
            for seq, data in connection.execute(tokens):
                if seq is not None and orjson.loads(data)["message_id"] not in kept:
                    return seq
        return None

    # -- stopping ----------------------------------------------------------------------------------------------------

    def lost(self, lease: Lease) -> None:
        """Give up an attempt whose lease is no longer ours; a later one in this process goes on."""
        held = self._held.get(lease.run_id)
        if held is not None and held.task is not None and held.lease.attempt == lease.attempt:
            held.task.stop(None)

    def _cancel_heard(self, run_id: str) -> None:
        self.stop_run(uuid.UUID(run_id))

    def _reload(self) -> None:
        with self.app.app_context():
            catalogue.reload()
        self.engine.reload()

    def _cancel_waiting(self, run_id: uuid.UUID) -> None:
        with self.app.app_context():
            actions.cancel(run_id)
            commit()

    def stop_run(self, run_id: uuid.UUID) -> None:
        """Tell the agent of a run to stop at its next await; the run then ends as cancelled."""
        held = self._held.get(run_id)
        if held is None or held.stop_code is not None:
            return
        held.stop_code = "cancelled"
        held.stopped_at = time.monotonic()
        if held.task is not None:
            held.task.stop("cancelled")

    def drain(self, timeout_s: float) -> None:
        """Take nothing more, give the runs in progress back for another worker to go on with, and strike this worker out."""
        self.stopping.set()
        with self._lock:
            held = list(self._held.values())
            if not held:
                self._idle.set()
        for each in held:
            if each.task is not None:
                each.task.stop(None)
        if self._idle.wait(timeout_s):
            self.writer.stop()
            self._follow_ups.shutdown(wait=True)
            with self.app.app_context():
                leases.retire(self.worker_id)
        self._stopped.set()
        log.info("worker.drained", extra={"facts": {"worker_id": self.worker_id, "given_back": len(held), "left": len(self._held)}})

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until nothing is held, at most so long; whether that is so."""
        return self._idle.wait(timeout_s)

    def _documents(self, workspace_id: str, query: str, limit: int) -> list[dict[str, Any]]:
        with self.app.app_context():
            return documents.search(workspace_id, query, limit)


def _wake_freed(freed: tuple[uuid.UUID, bool]) -> None:
    run_id, is_alone = freed
    wake(run_id, alone=is_alone)


def _quietly(task: Callable[[str], Any], run_id: str) -> None:
    try:
        task(run_id)
    except Exception:
        log.exception("run.then_failed", extra={"facts": {"run_id": run_id}})
