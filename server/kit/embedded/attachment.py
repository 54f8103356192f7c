"""The side of those who need the embedded servers: attach, and get addresses that answer."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.kit.embedded import postgres, system, valkey
from server.kit.embedded.system import EmbeddedFailed
from server.settings import Settings

__all__ = ["Attachment", "addressed", "attach"]

TICK_S = 0.02
START_S = 90.0
STOP_S = 30.0
# How long a REDIS_URL may take to answer at a start: long enough for one that starts beside us.
REDIS_PATIENCE_S = 3.0


@dataclass
class Attachment:
    """Settings whose addresses answer, and the hold on the embedded servers behind them (`lock` is None where none is needed).

    lock: a descriptor; a child that inherits it keeps the servers as well.
    """

    settings: Settings
    lock: int | None
    keeper: subprocess.Popen[bytes] | None = None

    def mend(self) -> None:
        """Start a keeper again where the last one was killed; costs a look at a lock where it was not."""
        if self.lock is not None and _is_free(system.run_folder(self.settings.data_dir) / "keeper.lock"):
            self.keeper = _spawn_keeper(self.settings.data_dir)

    def release(self) -> None:
        """Let go. Waits (bounded) for the servers to stop where nobody else is attached; repeating it does nothing."""
        if self.lock is None:
            return
        os.close(self.lock)
        self.lock = None
        _wait_for_the_end(system.run_folder(self.settings.data_dir))
        if self.keeper is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.keeper.wait(0.5)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def addressed(settings: Settings) -> Settings:
    """The settings with the addresses that embedded servers have or will have; starts nothing."""
    if not settings.database_url:
        settings = dataclasses.replace(settings, database_url=postgres.address(settings.data_dir))
    if not settings.redis_url:
        settings = dataclasses.replace(settings, redis_url=valkey.address(settings.data_dir))
    return settings


def attach(settings: Settings) -> Attachment:
    """Have a database and a Redis that answer: those that the settings name, else embedded ones, started if need be.

    Blocks for up to START_S (a first start takes about a second). Raises EmbeddedFailed.
    """
    run = system.run_folder(settings.data_dir)
    stands_in = _redis_is_replaced(settings, run)
    is_fallback = stands_in or settings.redis_fallback
    wanted = [] if settings.database_url else ["database"]
    if stands_in or not settings.redis_url:
        wanted.append("redis")
    if not wanted:
        return Attachment(settings, None)
    lock = _hold(run)
    for name in wanted:
        (run / f"want.{name}").touch(mode=0o600)
    if stands_in and settings.redis_url:
        (run / "redis.replaced").write_text(_digest(settings.redis_url))
    try:
        state, keeper = _await_servers(settings.data_dir, wanted)
    except BaseException:
        os.close(lock)
        raise
    addresses: dict[str, Any] = {f"{name}_url": state[name]["url"] for name in wanted}
    return Attachment(dataclasses.replace(settings, redis_fallback=is_fallback, **addresses), lock, keeper)


def _redis_is_replaced(settings: Settings, run: Path) -> bool:
    """Whether the embedded Redis stands in for the one that the settings speak of.

    Processes of one data folder agree: once one has found REDIS_URL silent, those that start beside it do not ask again.
    """
    if settings.redis_fallback:
        return False
    if settings.streaming_backend == "memory":
        return True
    if not settings.redis_url:
        return False
    note = run / "redis.replaced"
    if note.exists() and note.read_text() == _digest(settings.redis_url) and not _is_free(run / "keeper.lock"):
        return True
    return not _answers(settings.redis_url)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _answers(url: str) -> bool:
    """Whether the Redis at `url` answers, given some time. Raises EmbeddedFailed when it refuses who we are."""
    deadline = time.monotonic() + REDIS_PATIENCE_S
    while True:
        try:
            answer = valkey.ping(url)
        except OSError:
            answer = ""
        if answer == "PONG":
            return True
        if answer.startswith(("NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH")):
            raise EmbeddedFailed("The server at REDIS_URL refuses the user or the password in it.")
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _hold(run: Path) -> int:
    """Take a share of the lock that keeps the servers; waits for a keeper that is just stopping."""
    lock = os.open(run / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in _until(STOP_S, "The embedded servers do not finish stopping."):
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return lock
    raise AssertionError


def _await_servers(data_dir: Path, wanted: list[str]) -> tuple[dict[str, Any], subprocess.Popen[bytes] | None]:
    run = system.run_folder(data_dir)
    keeper: subprocess.Popen[bytes] | None = None
    for _ in _until(START_S, "The embedded servers do not answer; see log/ in the data folder."):
        state = _state(run)
        if keeper is not None and keeper.poll() not in (None, 0):
            raise EmbeddedFailed(str(state.get("error") or "The keeper of the embedded servers failed; see log/embedded.log."))
        if _is_free(run / "keeper.lock"):
            if keeper is None or keeper.poll() is not None:
                keeper = _spawn_keeper(data_dir)
        elif all(_is_up(state, name) for name in wanted) and system.is_alive(int(state["keeper"])):
            return state, keeper
    raise AssertionError


def _is_up(state: dict[str, Any], name: str) -> bool:
    """Whether a server is noted as running, and runs: the keeper notes the end of a killed one a moment after."""
    return name in state and system.is_alive(int(state[name]["pid"]))


def _spawn_keeper(data_dir: Path) -> subprocess.Popen[bytes]:
    log = system.open_log(data_dir, "embedded")
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "server.kit.embedded.keeper", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _wait_for_the_end(run: Path) -> None:
    """Return when the keeper has ended, or somebody else is attached."""
    deadline = time.monotonic() + STOP_S
    while not _is_free(run / "keeper.lock") and time.monotonic() < deadline:
        if not _is_free(run / "users.lock") and _has_other_users(run):
            return
        time.sleep(TICK_S)


def _has_other_users(run: Path) -> bool:
    """Whether the lock is held shared by others, not exclusively by a keeper that is stopping."""
    with _opened(run / "users.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    with _opened(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _state(run: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((run / "servers.json").read_text())
    except (OSError, ValueError):
        return {}
    return state


def _until(seconds: float, message: str) -> Iterator[None]:
    """Ticks for so many seconds, then EmbeddedFailed with the message."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(TICK_S)
    raise EmbeddedFailed(message)
