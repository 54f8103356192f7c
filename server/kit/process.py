"""A child process as the supervisor sees it: started with a log, known to be ready when it says so, gone with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from server.kit.embedded import system
from server.settings import Settings, environment

__all__ = ["Child", "bind", "log_tail", "say_ready", "spawn"]

BACKLOG = 2048


class Child:
    """A running process and the pipe on which it says that it is ready."""

    def __init__(self, process: subprocess.Popen[bytes], ready: int | None) -> None:
        self.process = process
        self.pid = process.pid
        self.started_at = time.monotonic()
        self.is_ready = ready is None
        self._ready = ready

    def poll(self) -> int | None:
        """The exit code, or None while it runs; also takes note when the process says that it is ready."""
        if self._ready is not None:
            with contextlib.suppress(BlockingIOError):
                self.is_ready = os.read(self._ready, 1) == b"1"
                os.close(self._ready)
                self._ready = None
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def spawn(settings: Settings, words: Sequence[str], *, name: str, keep: Sequence[int] = (), to_terminal: bool = False) -> Child:
    """Start `parley <words>` as a child in a session of its own, with these settings.

    keep: descriptors that it inherits. Its output goes to `log/<name>.log`. It gets SIGTERM when this (main) thread dies.
    The child is ready once it has called `say_ready`.
    """
    ready, say = os.pipe()
    os.set_blocking(ready, False)
    log = None if to_terminal else system.open_log(settings.data_dir, name)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli", *words, "--ready-fd", str(say)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(settings),
            pass_fds=[say, *keep],
            start_new_session=True,
            preexec_fn=system.die_with_parent(signal.SIGTERM),  # noqa: PLW1509  (a supervisor has one thread)
        )
    finally:
        os.close(say)
        if log is not None:
            os.close(log)
    return Child(process, ready)


def say_ready(descriptor: int | None) -> None:
    """Tell the supervisor, if there is one, that this process does its work now."""
    if descriptor is not None:
        os.write(descriptor, b"1")
        os.close(descriptor)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What a listener has set its connections inherit: without it a small answer waits for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def log_tail(data_dir: Path, name: str, *, lines: int = 15) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        text = (data_dir / "log" / f"{name}.log").read_bytes()[-8192:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
