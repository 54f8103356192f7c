"""Event loops for agents. The agents of one folder share their modules, and so a loop; a watchdog moves an agent that blocks it off.

What a blocked loop means for whom:
    the agent that blocks it    each of its later runs gets a loop of its own, for a while
    new runs of its neighbours  go to a fresh loop at once
    their runs on the blocked one   wait; after RESCUE_S they are given back and begun again from their last checkpoint
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

__all__ = ["AgentLoop", "Errand", "Loops"]

log = logging.getLogger(__name__)

IDLE_S = 60.0  # a loop without runs is closed after so long
WATCH_S = 0.25
REMEMBER_S = 600.0  # how long an agent that was caught blocking is kept off a shared loop
LATE_S = 0.25  # a watchdog that is itself so late judges nobody: the whole process stood still
RESCUE_S = 5.0

# The agent on whose behalf code runs; the tasks that an agent's code makes inherit it.
_agent: contextvars.ContextVar[str] = contextvars.ContextVar("agent")


class Threads(ThreadPoolExecutor):
    """The threads of all loops: one loop that closes must not take them from the others, as it would."""

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Nothing: they end with the process."""


class AgentLoop:
    """A thread with an event loop, and how many runs are on it."""

    def __init__(self, name: str, threads: Threads) -> None:
        self.runs = 0
        self._is_closing = False
        self.idle_since = self.beat_at = time.monotonic()
        self._owners: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(threads)
        self.loop.set_task_factory(self._new_task)
        self.thread = threading.Thread(target=self._turn, name=f"agents-{name}", daemon=True)
        self.thread.start()

    def _turn(self) -> None:
        while not self._is_closing:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # of an agent's node, which hears of it too; its neighbours go on
                log.warning("agent.exits", extra={"facts": {"loop": self.thread.name}})
        self.loop.close()

    def _new_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        self._owners[task] = _agent.get("")
        return task

    def ask_for_beat(self) -> None:
        """Let the loop show that it turns."""
        with suppress(RuntimeError):  # it was closed meanwhile
            self.loop.call_soon_threadsafe(self._beat)

    def _beat(self) -> None:
        self.beat_at = time.monotonic()

    def still_s(self) -> float:
        """For how long the loop has not turned (exact to the watchdog's round)."""
        return time.monotonic() - self.beat_at

    def at_work(self) -> str | None:
        """The agent whose code the loop is in right now."""
        task = asyncio.current_task(self.loop)
        return self._owners.get(task) or None if task is not None else None

    def where(self) -> str:
        """The line at which the loop's thread stands."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        if frame is None:
            return "?"
        last = traceback.extract_stack(frame)[-1]
        return f"{last.filename}:{last.lineno} {last.name}"

    def close(self) -> None:
        """End the loop once it turns."""
        self._is_closing = True
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)


class Errand:
    """A coroutine on a loop, and its future, which is done when the coroutine has really ended."""

    def __init__(self, loop: AgentLoop, agent_id: str, work: Coroutine[Any, Any, Any]) -> None:
        self.loop = loop
        self.agent_id = agent_id
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False
        self.future: Future[Any] = asyncio.run_coroutine_threadsafe(self._carry_out(work), loop.loop)

    async def _carry_out(self, work: Coroutine[Any, Any, Any]) -> Any:
        _agent.set(self.agent_id)
        self._task = self.loop.loop.create_task(work)
        if self._is_cancelled:
            self._task.cancel()
        return await self._task

    def cancel(self) -> None:
        """Cancel it at its next await; from any thread."""
        with suppress(RuntimeError):
            self.loop.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()

    def is_stuck(self) -> bool:
        """Whether its loop has been blocked for long by another agent's code."""
        return self.loop.still_s() > RESCUE_S and self.loop.at_work() not in (self.agent_id, None)


class Loops:
    """The loops of this process.

    block_s: a loop that did not turn for so long is blocked.
    max_threads: how many synchronous nodes may work at once.
    """

    def __init__(self, *, block_s: float, max_threads: int) -> None:
        self._block_s = block_s
        self._threads = Threads(max_threads, thread_name_prefix="node")
        self._lock = threading.Lock()
        self._shared: dict[str, AgentLoop] = {}
        self._apart: list[AgentLoop] = []
        self._blocking_until: dict[str, float] = {}
        threading.Thread(target=self._watch_forever, name="watchdog", daemon=True).start()

    def submit(self, agent_id: str, home: str, work: Coroutine[Any, Any, Any]) -> Errand:
        """Start `work` on the loop of its home, or on one of its own if the agent is known to block."""
        with self._lock:
            if self._blocking_until.get(agent_id, 0.0) > time.monotonic():
                loop = AgentLoop(agent_id, self._threads)
                self._apart.append(loop)
            else:
                loop = self._shared.get(home) or AgentLoop(home.rpartition("/")[2], self._threads)
                self._shared[home] = loop
            loop.runs += 1
        errand = Errand(loop, agent_id, work)
        errand.future.add_done_callback(lambda _: self._left(loop))
        return errand

    def is_blocked(self, loop: AgentLoop) -> bool:
        """Whether the loop has not turned for the limit."""
        return loop.still_s() > self._block_s + WATCH_S

    def _left(self, loop: AgentLoop) -> None:
        with self._lock:
            loop.runs -= 1
            loop.idle_since = time.monotonic()
            if loop in self._apart and not loop.runs:
                self._apart.remove(loop)
                loop.close()

    def _watch_forever(self) -> None:
        while True:
            began = time.monotonic()
            time.sleep(WATCH_S)
            is_late = time.monotonic() - began > WATCH_S + LATE_S
            with self._lock:
                shared, apart = dict(self._shared), list(self._apart)
            for home, loop in shared.items():
                if loop.runs and self.is_blocked(loop) and not is_late:
                    self._move_off(home, loop)
            for loop in (*shared.values(), *apart):
                loop.ask_for_beat()
            self._close_idle()

    def _move_off(self, home: str, loop: AgentLoop) -> None:
        """Leave the blocked loop to those that are on it, and keep the agent that blocks it off the next one."""
        agent_id = loop.at_work()
        facts = {"agent_id": agent_id, "runs": loop.runs, "still_ms": round(loop.still_s() * 1000), "at": loop.where()}
        with self._lock:
            if agent_id is not None:
                self._blocking_until[agent_id] = time.monotonic() + REMEMBER_S
            if self._shared.get(home) is loop:
                del self._shared[home]
                self._apart.append(loop)
        log.warning("agent.blocks_its_loop", extra={"facts": facts})

    def _close_idle(self) -> None:
        now = time.monotonic()
        with self._lock:
            for home, loop in list(self._shared.items()):
                if not loop.runs and now - loop.idle_since > IDLE_S:
                    del self._shared[home]
                    loop.close()
