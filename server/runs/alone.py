"""Runs that are tried again alone: each in a process of its own, forked from a parent that has the engine imported already.

A run gets here when the worker that carried it, with others, died. Should it be the one that kills, it now kills only itself, and
only this counts against it. The parent process is started with the first such run; forking from it takes milliseconds, and it has
no threads, so a fork of it is sound.
"""

from __future__ import annotations

import logging
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress

from flask import Flask

from server.runs import leases
from server.runs.host import Host
from server.settings import Settings

__all__ = ["Alone", "fork_forever"]

log = logging.getLogger(__name__)

MAX_AT_ONCE = 24
IDLE_S = 60.0
LEAVE_S = 15.0  # how long processes may take to hand their runs over when the worker stops
LOOK_S = 0.2


class Alone:
    """The worker's side: hands runs to the forking parent, so many at a time, and hears how their processes ended."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._parent: subprocess.Popen[str] | None = None
        self._waiting: dict[uuid.UUID, None] = {}
        self._at_work = 0
        self._is_dismissed = False

    def dismiss(self) -> None:
        """Start no more, and let those at work hand their runs over; does not wait for it."""
        with self._lock:
            self._is_dismissed = True
            if self._parent is not None and self._parent.stdin is not None:
                self._parent.stdin.close()

    def wait(self, timeout_s: float) -> None:
        """Wait until all processes have ended after they were dismissed, at most so long."""
        if self._parent is not None:
            with suppress(subprocess.TimeoutExpired):
                self._parent.wait(timeout_s)

    def take(self, run_id: uuid.UUID) -> None:
        """Let a process of its own claim and carry out the run, as soon as fewer than as many as may are at work. Does not block."""
        with self._lock:
            self._waiting[run_id] = None
            self._begin_next()

    def _begin_next(self) -> None:
        while self._waiting and self._at_work < MAX_AT_ONCE and not self._is_dismissed:
            run_id = next(iter(self._waiting))
            del self._waiting[run_id]
            try:
                parent = self._living_parent()
                assert parent.stdin is not None
                parent.stdin.write(f"{run_id}\n")
                parent.stdin.flush()
                self._at_work += 1
            except OSError:
                # The sweep wakes the run again.
                log.warning("alone.parent_lost", extra={"facts": {"run_id": run_id}})

    def _living_parent(self) -> subprocess.Popen[str]:
        if self._parent is None or self._parent.poll() is not None:
            self._at_work = 0
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "server.alone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            threading.Thread(target=self._hear, args=(self._parent,), name="alone", daemon=True).start()
        return self._parent

    def _hear(self, parent: subprocess.Popen[str]) -> None:
        """Each line says that a process has ended: `<worker id, or - if it had none> <exit status>`."""
        assert parent.stdout is not None
        for line in parent.stdout:
            worker_id, status = line.split()
            with self._lock:
                if parent is self._parent:
                    self._at_work -= 1
                    self._begin_next()
            if worker_id != "-" and status != "0":
                self._died(uuid.UUID(worker_id))

    def _died(self, worker_id: uuid.UUID) -> None:
        settings: Settings = self._app.config["SETTINGS"]
        with self._app.app_context():
            waiting = leases.lost_worker(worker_id, None, max_deaths=settings.run_deaths)
        log.warning("alone.died", extra={"facts": {"worker_id": worker_id, "tried_again": len(waiting)}})


# -- the forking parent ------------------------------------------------------------------------------------------------


def fork_forever(make_app: Callable[[], Flask]) -> None:
    """Fork a process for each run id that comes in; say when each has ended.

    Ends when nobody needed it for a while; and with its standard input, once its children have handed their runs over.
    """
    children: dict[int, int] = {}
    woken_read, woken_write = os.pipe()
    os.set_blocking(woken_write, False)
    signal.set_wakeup_fd(woken_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pending = b""
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin.fileno(), selectors.EVENT_READ)
    ready.register(woken_read, selectors.EVENT_READ)
    while True:
        heard = ready.select(timeout=IDLE_S)
        if not heard and not children:
            return
        for key, _ in heard:
            if key.fd == woken_read:
                os.read(woken_read, 4096)
                continue
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                _dismiss(children)
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                pid, report = _fork(line.decode().strip(), make_app)
                children[pid] = report
        _reap(children)


def _fork(run_id: str, make_app: Callable[[], Flask]) -> tuple[int, int]:
    """A child that carries out the run; its pid, and the pipe on which it names its worker id."""
    report_read, report_write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(report_write)
        return pid, report_read
    os.close(report_read)
    status = 1
    try:
        _child(uuid.UUID(run_id), report_write, make_app)
        status = 0
    except BaseException:
        log.exception("alone.failed")
    finally:
        os._exit(status)


def _reap(children: dict[int, int]) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        report = children.pop(pid)
        worker_id = os.read(report, 64).decode() or "-"
        os.close(report)
        sys.stdout.write(f"{worker_id} {status}\n")
        sys.stdout.flush()


def _dismiss(children: dict[int, int]) -> None:
    """Tell all children to stop, and end those that do not."""
    deadline = time.monotonic() + LEAVE_S
    _send(children, signal.SIGTERM)
    while children and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        with suppress(BrokenPipeError):  # nobody listens any more when the worker was killed
            _reap(children)
    _send(children, signal.SIGKILL)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _child(run_id: uuid.UUID, report: int, make_app: Callable[[], Flask]) -> None:
    signal.set_wakeup_fd(-1)
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    # The pipes are the parent's: what an agent prints goes to the log, and it reads nothing.
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    app = make_app()
    settings: Settings = app.config["SETTINGS"]
    resource.setrlimit(resource.RLIMIT_AS, (settings.solo_memory_bytes, settings.solo_memory_bytes))
    host = Host(app, alone=True)
    host.start()
    os.write(report, str(host.worker_id).encode())
    with app.app_context():
        if host.take(run_id):
            while not host.wait_idle(LOOK_S) and not told_to_stop.is_set():
                continue
    host.drain(settings.drain_s)
