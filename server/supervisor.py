"""What `parley run` does: everything in its place, one address, and children that come back when they die.

It holds the listening socket and hands it to each web process, so that a restart of one refuses nobody. It imports neither
Flask nor SQLAlchemy: it stays small, and what it starts cannot take it down.

    SIGINT, SIGTERM   stop in order: web and scheduler, then workers, then the embedded servers; a second one stops at once
    SIGHUP            replace every child, one after the other; the old one leaves when the new one is ready
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from server.kit.embedded import system
from server.kit.embedded.attachment import Attachment, attach
from server.kit.embedded.system import EmbeddedFailed
from server.kit.process import Child, bind, log_tail, spawn
from server.settings import Settings

__all__ = ["StartFailed", "Supervisor", "address_of"]

TICK_S = 0.25
START_S = 120.0
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
# Beyond DRAIN_S, for a process to put its things down after it has handed its work over.
KILL_AFTER_S = 5.0
HOUSEKEEPING_S = 5.0
MAX_LOG_BYTES = 16 * 2**20
# In this order they are started and replaced.
KINDS = ("worker", "web", "scheduler")


class StartFailed(RuntimeError):
    """The server cannot start; the message says why and what helps."""


@dataclass
class Slot:
    """A place that a process of a kind fills: the one in it, the one that is to follow, and how it fared."""

    name: str
    kind: str
    child: Child | None = None
    successor: Child | None = None
    failures: int = 0
    next_start: float = 0.0


def address_of(settings: Settings, listener: socket.socket) -> str:
    """The address to open in a browser on this machine."""
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Supervisor:
    """Runs a server of these settings in the foreground."""

    def __init__(self, settings: Settings, counts: dict[str, int], *, verbose: bool = False, say: Callable[[str], None] = print) -> None:
        self.settings = settings
        self.verbose = verbose
        self.say = say
        self.slots = [Slot(f"{kind}-{number + 1}", kind) for kind in KINDS for number in range(counts.get(kind, 0))]
        self.leaving: list[tuple[Child, float]] = []
        self.to_replace: deque[Slot] = deque()
        self.listener: socket.socket | None = None
        self.attachment: Attachment | None = None
        self.url = ""
        self.stops_asked = 0
        self.published = ""
        self.is_up = False

    def run(self) -> int:
        """Start, print the address, watch until told to stop; 0 after an orderly stop. Raises StartFailed."""
        self._catch_signals()
        lock = self._only_one()
        try:
            self.listener = self._listen()
            self.url = address_of(self.settings, self.listener)
            self._start()
            self._watch()
        except (EmbeddedFailed, StartFailed) as error:
            if not self.stops_asked:
                raise StartFailed(str(error)) from error
        finally:
            self._stop()
            os.close(lock)
        return 0

    # -- start ---------------------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        """Signals wake the loop by a pipe and are looked at there."""
        self._wake, wake_end = os.pipe()
        for end in (self._wake, wake_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._stop_asked)
        signal.signal(signal.SIGTERM, self._stop_asked)
        signal.signal(signal.SIGHUP, lambda *_: self.to_replace.extend(s for s in self.slots if s not in self.to_replace))
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _stop_asked(self, *_: object) -> None:
        self.stops_asked += 1

    def _only_one(self) -> int:
        run = system.run_folder(self.settings.data_dir)
        lock = os.open(run / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StartFailed(
                f"A server already runs with the data folder {self.settings.data_dir} (process {self._state().get('pid', '?')}, "
                f"{self._state().get('url', '?')}). Stop it, or give this one a DATA_DIR and a PORT of its own."
            ) from None
        return lock

    def _state(self) -> dict[str, object]:
        try:
            state: dict[str, object] = json.loads(self._state_file.read_text())
        except (OSError, ValueError):
            return {}
        return state

    @property
    def _state_file(self) -> Path:
        return self.settings.data_dir / "run" / "supervisor.json"

    def _listen(self) -> socket.socket:
        """The listening socket. Children of a supervisor that was killed may hold the port until they have drained."""
        deadline = time.monotonic() + (self.settings.drain_s if self._state_file.exists() else 0)
        while True:
            try:
                return bind(self.settings.host, self.settings.port)
            except OSError as error:
                if time.monotonic() < deadline and not self.stops_asked:
                    time.sleep(0.1)
                    continue
                where = f"{self.settings.host}:{self.settings.port}"
                raise StartFailed(f"Cannot listen on {where}: {error.strerror}. Choose another, as in `PORT=8001 make run`.") from None

    def _start(self) -> None:
        self.say(f"Parley starts; data in {self.settings.data_dir}")
        with self._told("database and redis"):
            self.attachment = attach(self.settings)
        self.settings = replace(self.attachment.settings, enable_workers=True)
        if self.settings.redis_fallback:
            self.say("  ! Redis: REDIS_URL is not used; the embedded server stands in.")
        with self._told("migrations"):
            self._migrate()
        with self._told(" ".join(slot.name.removesuffix("-1") for slot in self.slots)):
            self._await_first_children()
        self.is_up = True
        self._publish()
        self.say(self._welcome())

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        if not self.stops_asked:
            self.say(f"  {what} … {time.monotonic() - began:.1f} s")

    def _migrate(self) -> None:
        child = self._spawn(["migrate"], "migrate")
        while child.poll() is None:
            self._wait()
            if self.stops_asked:
                child.kill()
        if child.poll() != 0:
            raise StartFailed(f"The migration of the database failed.\n{log_tail(self.settings.data_dir, 'migrate')}")

    def _await_first_children(self) -> None:
        deadline = time.monotonic() + START_S
        for slot in self.slots:
            slot.child = self._spawn(self._words(slot), slot.name)
        while not all(slot.child and slot.child.is_ready for slot in self.slots):
            self._publish()
            self._wait()
            for slot in self.slots:
                code = slot.child.poll() if slot.child else 1
                if self.stops_asked:
                    raise StartFailed("Stopped while starting.")
                if code is not None or time.monotonic() > deadline:
                    reason = "does not get ready" if code is None else f"ended with exit code {code}"
                    raise StartFailed(f"{slot.name} {reason}.\n{log_tail(self.settings.data_dir, slot.name)}")

    def _words(self, slot: Slot) -> list[str]:
        assert self.listener is not None
        return [slot.kind, "--listen-fd", str(self.listener.fileno())] if slot.kind == "web" else [slot.kind]

    def _spawn(self, words: list[str], name: str) -> Child:
        assert self.attachment is not None
        assert self.listener is not None
        keep = [self.listener.fileno()] if words[0] == "web" else []
        if self.attachment.lock is not None:
            keep.append(self.attachment.lock)
        return spawn(self.settings, words, name=name, keep=keep, to_terminal=self.verbose)

    def _welcome(self) -> str:
        if self.settings.auth == "open":
            how = "Nobody has to sign in (AUTH=open)."
        elif not self.settings.is_loopback or self.settings.registration == "closed":
            how = "Sign in with your account; `parley user EMAIL --admin` makes an administrator."
        else:
            how = "Sign in there, or register: the first account is the administrator."
        return f"\nParley is ready: {self.url}\n{how}\nCtrl-C stops it. Logs are in {self.settings.data_dir / 'log'}\n"

    # -- watch ---------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        next_housekeeping = time.monotonic() + HOUSEKEEPING_S
        while not self.stops_asked:
            for slot in self.slots:
                self._tend(slot)
            self._replace_next()
            self._dismiss(self.leaving)
            self._publish()
            if time.monotonic() > next_housekeeping:
                next_housekeeping = time.monotonic() + HOUSEKEEPING_S
                self._keep_house()
            self._wait()

    def _tend(self, slot: Slot) -> None:
        """Move a successor in when it is ready; start a process again that has died."""
        if slot.successor and slot.successor.poll() is not None:
            self.say(f"  ! The new {slot.name} did not get ready; the old one stays. See log/{slot.name}.log")
            slot.successor = None
        if slot.successor and slot.successor.is_ready:
            if slot.child:
                slot.child.send(signal.SIGTERM)
                self.leaving.append((slot.child, self._last_moment()))
            slot.child, slot.successor = slot.successor, None
        if slot.child and slot.child.poll() is not None:
            lived_s = time.monotonic() - slot.child.started_at
            slot.failures = 0 if lived_s > STEADY_S else slot.failures + 1
            pause_s = 0.0 if slot.failures <= 1 else min(LONGEST_PAUSE_S, 0.5 * 2 ** (slot.failures - 2))
            slot.next_start = time.monotonic() + pause_s
            when = f" in {pause_s:.0f} s" if pause_s else ""
            self.say(f"  ! {slot.name} ended (exit code {slot.child.poll()}); it starts again{when}")
            slot.child = None
        if slot.child is None and slot.successor is None and time.monotonic() >= slot.next_start:
            slot.child = self._spawn(self._words(slot), slot.name)

    def _replace_next(self) -> None:
        if self.to_replace and not any(slot.successor for slot in self.slots):
            slot = self.to_replace.popleft()
            slot.successor = self._spawn(self._words(slot), slot.name)

    def _dismiss(self, leaving: list[tuple[Child, float]]) -> None:
        """Forget those that have left; kill those that have had their time."""
        for child, last_moment in list(leaving):
            if child.poll() is None and time.monotonic() > last_moment:
                child.kill()
            if child.poll() is not None:
                leaving.remove((child, last_moment))

    def _last_moment(self) -> float:
        return time.monotonic() + self.settings.drain_s + KILL_AFTER_S

    def _keep_house(self) -> None:
        """Bring back a killed keeper; put aside logs that have grown too large (their writers append, so they may be emptied)."""
        if self.attachment:
            self.attachment.mend()
        for path in (self.settings.data_dir / "log").glob("*.log"):
            if path.stat().st_size > MAX_LOG_BYTES:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)

    def _wait(self) -> None:
        """Sleep until a signal comes or a moment has passed."""
        select.select([self._wake], [], [], TICK_S if self.is_up else TICK_S / 5)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _publish(self) -> None:
        """Write down, for whoever looks from outside, what runs."""
        running = {slot.name: slot.child for slot in self.slots if slot.child}
        state = {
            "pid": os.getpid(),
            "url": self.url,
            "ready": self.is_up,
            "children": {name: child.pid for name, child in running.items()},
            "ready_pids": [child.pid for child in running.values() if child.is_ready],
        }
        text = json.dumps(state)
        if text != self.published:
            draft = self._state_file.with_suffix(".draft")
            draft.write_text(text)
            draft.replace(self._state_file)
            self.published = text

    # -- stop ----------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Everything down, in order; what does not go in its time is killed."""
        if self.listener is None:
            return
        self.listener.close()
        if self.is_up:
            self.say("Parley stops …")
        for kinds in (("web", "scheduler"), ("worker",)):
            self._stop_children([slot for slot in self.slots if slot.kind in kinds])
        self._stop_children([])
        if self.attachment:
            self.attachment.release()
        self._state_file.unlink(missing_ok=True)
        if self.is_up:
            self.say("Parley has stopped.")
        sys.stdout.flush()

    def _stop_children(self, slots: list[Slot]) -> None:
        children = [child for slot in slots for child in (slot.child, slot.successor) if child]
        for child in children:
            child.send(signal.SIGTERM)
        last_moment = self._last_moment() if self.is_up else time.monotonic() + 2.0
        leaving = [(child, last_moment) for child in children] + (self.leaving if not slots else [])
        asked = self.stops_asked
        while leaving:
            if self.stops_asked > max(asked, 1):
                leaving = [(child, 0.0) for child, _ in leaving]
            self._dismiss(leaving)
            if leaving:
                self._wait()
