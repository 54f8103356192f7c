"""The keeper: the process that holds the embedded servers of one data folder, `python -m server.kit.embedded.keeper DATA_DIR`.

Files in `DATA_DIR/run`:

    users.lock      held shared by everyone who is attached (and inherited by its children): a lock dies with its holder
    keeper.lock     held by the one keeper
    want.<server>   somebody needs this server: `database` or `redis`
    redis.replaced  the digest of a REDIS_URL that did not answer, for which the embedded server stands in
    servers.json    what runs, where it answers, or the error that kept it from starting

It uses the standard library alone: it is one of the processes that the server costs at rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from server.kit.embedded import postgres, system, valkey
from server.kit.embedded.system import EmbeddedFailed

__all__ = ["keep"]

TICK_S = 0.05
QUIET_TICK_S = 0.2
FIRST_START_S = 60.0
STOP_S = 15.0
LONGEST_PAUSE_S = 5.0
# After a SIGTERM the keeper waits for those who are attached to go; a system that shuts down tells everybody at once.
LINGER_S = 30.0
# Whoever attaches looks at the lock by taking it for a moment: one refusal does not mean that there is a keeper.
LOCK_TRIES = 5


@dataclass
class Server:
    """One embedded server and what is done with it; `child` is None while it does not run."""

    name: str
    prepare: Callable[[], None]
    spawn: Callable[[], subprocess.Popen[bytes]]
    is_ready: Callable[[int], bool]
    address: Callable[[], str]
    leftover: Callable[[], int | None]
    stop_signal: signal.Signals
    child: subprocess.Popen[bytes] | None = field(default=None)
    is_up: bool = False
    failures: int = 0
    next_start: float = 0.0


def servers_of(data_dir: Path) -> list[Server]:
    """The servers that a data folder may hold."""
    return [
        Server(
            name="database",
            prepare=lambda: postgres.prepare(data_dir),
            spawn=lambda: postgres.spawn(data_dir),
            is_ready=lambda pid: postgres.is_ready(data_dir, pid),
            address=lambda: postgres.address(data_dir),
            leftover=lambda: postgres.leftover(data_dir),
            stop_signal=postgres.STOP_SIGNAL,
        ),
        Server(
            name="redis",
            prepare=lambda: valkey.prepare(data_dir),
            spawn=lambda: valkey.spawn(data_dir),
            is_ready=lambda pid: _pongs(valkey.address(data_dir)),
            address=lambda: valkey.address(data_dir),
            leftover=lambda: valkey.leftover(data_dir),
            stop_signal=valkey.STOP_SIGNAL,
        ),
    ]


def _pongs(url: str) -> bool:
    try:
        return valkey.ping(url, timeout_s=0.5) == "PONG"
    except OSError:
        return False


class Keeper:
    """Keeps what is wanted running until nobody is attached any more."""

    def __init__(self, data_dir: Path) -> None:
        self.run = system.run_folder(data_dir)
        self.servers = servers_of(data_dir)
        self.users = os.open(self.run / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self.told_to_go_at: float | None = None
        self.published = ""

    def keep(self) -> None:
        """Return when the last who was attached has gone and every server has stopped."""
        signal.signal(signal.SIGTERM, self._told_to_go)
        signal.signal(signal.SIGINT, self._told_to_go)
        self._stop_leftovers()
        try:
            while not self._is_over():
                for server in self.servers:
                    if (self.run / f"want.{server.name}").exists():
                        self._tend(server)
                self._publish()
                time.sleep(QUIET_TICK_S if all(server.is_up for server in self.servers if server.child) else TICK_S)
        except (EmbeddedFailed, OSError) as error:
            self._publish(error=str(error))
            raise
        finally:
            self._stop()

    def _told_to_go(self, *_: object) -> None:
        self.told_to_go_at = time.monotonic()

    def _is_over(self) -> bool:
        """Whether nobody is attached; if so nobody can attach until this process has ended."""
        if self.told_to_go_at is not None and time.monotonic() - self.told_to_go_at > LINGER_S:
            return True
        try:
            if os.stat(self.run / "users.lock").st_ino != os.fstat(self.users).st_ino:
                return True
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def _tend(self, server: Server) -> None:
        if server.child is not None and server.child.poll() is not None:
            _note_death(server)
        if server.child is None and time.monotonic() >= server.next_start:
            server.prepare()
            server.child = server.spawn()
            server.next_start = time.monotonic()
        if server.child is not None and not server.is_up:
            server.is_up = server.is_ready(server.child.pid)
            if not server.is_up and not server.failures and time.monotonic() - server.next_start > FIRST_START_S:
                raise EmbeddedFailed(f"The embedded {server.name} does not answer; see log/ in the data folder.")

    def _publish(self, *, error: str = "") -> None:
        """Write down what runs, when that has changed."""
        state: dict[str, object] = {"keeper": os.getpid(), "error": error}
        for server in self.servers:
            if server.child is not None and server.is_up:
                state[server.name] = {"pid": server.child.pid, "url": server.address()}
        text = json.dumps(state)
        if text == self.published:
            return
        draft = self.run / ".servers.json"
        with contextlib.suppress(OSError):
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            draft.replace(self.run / "servers.json")
        self.published = text

    def _stop_leftovers(self) -> None:
        """Stop servers that an earlier keeper has left behind when it was killed."""
        for server in self.servers:
            pid = server.leftover()
            if pid is None:
                continue
            os.kill(pid, server.stop_signal)
            deadline = time.monotonic() + STOP_S
            while system.is_alive(pid):
                if time.monotonic() > deadline:
                    raise EmbeddedFailed(f"An older embedded {server.name} (process {pid}) does not stop.")
                time.sleep(TICK_S)

    def _stop(self) -> None:
        for server in self.servers:
            if server.child is not None and server.child.poll() is None:
                server.child.send_signal(server.stop_signal)
        for server in self.servers:
            if server.child is not None:
                _wait_or_kill(server.child)
        postgres.tidy(self.run.parent)
        for name in ("want.database", "want.redis", "redis.replaced"):
            (self.run / name).unlink(missing_ok=True)


def _note_death(server: Server) -> None:
    """Have the server started again: at once the first time, later after a growing pause; one that never ran is an error."""
    assert server.child is not None
    code, server.child = server.child.returncode, None
    if not server.is_up and server.failures == 0:
        raise EmbeddedFailed(f"The embedded {server.name} ended at its start (exit code {code}); see log/ in the data folder.")
    lived_s = time.monotonic() - server.next_start
    server.failures = 1 if server.is_up and lived_s > 10 * LONGEST_PAUSE_S else server.failures + 1
    server.is_up = False
    server.next_start = time.monotonic() + min(LONGEST_PAUSE_S, 0.1 * 2 ** (server.failures - 1))


def _wait_or_kill(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGQUIT)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def keep(data_dir: Path) -> None:
    """Keep the servers of the data folder, unless another keeper does."""
    lock = os.open(system.run_folder(data_dir) / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(TICK_S)
            continue
        (data_dir / "run" / "servers.json").unlink(missing_ok=True)
        Keeper(data_dir).keep()
        return


if __name__ == "__main__":
    try:
        keep(Path(sys.argv[1]))
    except EmbeddedFailed as failure:
        sys.exit(str(failure))
