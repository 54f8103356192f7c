"""Event loops for agents: one a kind of agent, so that one that blocks stops only its own; a watchdog moves such an agent off its loop.

An agent that was caught blocking gets a loop of its own for every run from then on.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["AgentLoop", "Errand", "Loops"]

log = logging.getLogger(__name__)

IDLE_S = 60.0  # an agent's loop without runs is closed after so long
WATCH_S = 0.25


class AgentLoop:
    """A thread with an event loop, and how many runs are on it."""

    def __init__(self, agent_id: str, threads: ThreadPoolExecutor) -> None:
        self.agent_id = agent_id
        self.runs = 0
        self.idle_since = time.monotonic()
        self.beat_at = time.monotonic()
        self.is_closing = False
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(threads)
        self.thread = threading.Thread(target=self.loop.run_forever, name=f"agent-{agent_id}", daemon=True)
        self.thread.start()

    def ask_for_beat(self) -> None:
        """Let the loop show that it turns."""
        self.loop.call_soon_threadsafe(self._beat)

    def _beat(self) -> None:
        self.beat_at = time.monotonic()

    def close(self) -> None:
        """End the loop once it turns again."""
        self.is_closing = True
        self.loop.call_soon_threadsafe(self.loop.stop)

    def where(self) -> str:
        """The line at which the loop's thread stands."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        if frame is None:
            return "?"
        last = traceback.extract_stack(frame)[-1]
        return f"{last.filename}:{last.lineno} {last.name}"


class Errand:
    """A coroutine on an agent's loop, and its future. The future is done when the coroutine has really ended."""

    def __init__(self, loop: AgentLoop, work: Coroutine[Any, Any, Any]) -> None:
        self.loop = loop
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False
        self.future: Future[Any] = asyncio.run_coroutine_threadsafe(self._carry_out(work), loop.loop)

    async def _carry_out(self, work: Coroutine[Any, Any, Any]) -> Any:
        self._task = asyncio.current_task()
        if self._is_cancelled:
            work.close()
            raise asyncio.CancelledError
        return await work

    def cancel(self) -> None:
        """Cancel it at its next await; from any thread."""
        self.loop.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()


class Loops:
    """The agents' loops of this process.

    block_s: a loop that did not turn for so long is blocked.
    max_threads: how many synchronous nodes may work at once.
    """

    def __init__(self, *, block_s: float, max_threads: int) -> None:
        self._block_s = block_s
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix="node")
        self._lock = threading.Lock()
        self._shared: dict[str, AgentLoop] = {}
        self._own: list[AgentLoop] = []
        self._blocking: set[str] = set()
        threading.Thread(target=self._watch_forever, name="watchdog", daemon=True).start()

    def submit(self, agent_id: str, work: Coroutine[Any, Any, Any]) -> Errand:
        """Start `work` on the agent's loop."""
        with self._lock:
            if agent_id in self._blocking:
                loop = AgentLoop(agent_id, self._threads)
                self._own.append(loop)
            else:
                loop = self._shared.get(agent_id) or AgentLoop(agent_id, self._threads)
                self._shared[agent_id] = loop
            loop.runs += 1
        errand = Errand(loop, work)
        errand.future.add_done_callback(lambda _: self._left(loop))
        return errand

    def is_blocked(self, loop: AgentLoop) -> bool:
        """Whether the loop has not turned for the limit."""
        return time.monotonic() - loop.beat_at > self._block_s

    def _left(self, loop: AgentLoop) -> None:
        with self._lock:
            loop.runs -= 1
            loop.idle_since = time.monotonic()
            if loop in self._own and not loop.runs:
                self._own.remove(loop)
                loop.close()

    def _watch_forever(self) -> None:
        while True:
            time.sleep(WATCH_S)
            with self._lock:
                loops = list(self._shared.values())
            for loop in loops:
                if loop.runs and self.is_blocked(loop):
                    self._move_off(loop)
                loop.ask_for_beat()
            self._close_idle()

    def _move_off(self, loop: AgentLoop) -> None:
        """From now on runs of this agent do not share a loop; those on the blocked one go on when it does."""
        with self._lock:
            if self._shared.get(loop.agent_id) is not loop:
                return
            self._blocking.add(loop.agent_id)
            del self._shared[loop.agent_id]
            self._own.append(loop)
        log.warning("agent.blocks_its_loop", extra={"facts": {"agent_id": loop.agent_id, "runs": loop.runs, "at": loop.where()}})

    def _close_idle(self) -> None:
        now = time.monotonic()
        with self._lock:
            for agent_id, loop in list(self._shared.items()):
                if not loop.runs and now - loop.idle_since > IDLE_S:
                    del self._shared[agent_id]
                    loop.close()
