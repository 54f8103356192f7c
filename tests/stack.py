"""A whole server for tests: started as `parley run` is, watched from outside, killed in parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
START_S = 60.0


def eventually(probe: Callable[[], T], *, within_s: float = 20.0, what: str = "it") -> T:
    """The first true answer of `probe`; fails when none comes in time. An exception of requests counts as no answer."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            answer = probe()
        except requests.RequestException:
            answer = None  # type: ignore[assignment]
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {within_s} s")


def plain_environment(**values: str) -> dict[str, str]:
    """The environment of a machine on which nobody has set anything of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **values}


def parley(*words: str, environ: Mapping[str, str], **options: Any) -> subprocess.Popen[str]:
    """A `parley` command, started."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": ROOT, **options}
    return subprocess.Popen([sys.executable, "-m", "server.cli", *words], env=dict(environ), **options)


@dataclass
class Stack:
    """A running server: its address, its data folder, its processes."""

    base_url: str
    data_dir: Path
    process: subprocess.Popen[str]
    environ: dict[str, str]
    own_folder: Path | None = None

    @classmethod
    def started(cls, *, data_dir: Path | None = None, **environ: str) -> Stack:
        """A server that answers; on a free port and, where none is given, a data folder of its own.

        environ: settings by the names of their environment variables.
        """
        own_folder = None if data_dir else Path(tempfile.mkdtemp(prefix="parley-"))
        folder = data_dir or (own_folder or Path()) / "data"
        values = plain_environment(**{"PORT": "0", "DATA_DIR": str(folder), **environ})
        process = parley("run", environ=values, start_new_session=True)
        stack = cls("", folder, process, values, own_folder)
        stack.base_url = eventually(stack._ready_url, within_s=START_S, what="the server's start")
        return stack

    def _ready_url(self) -> str:
        if self.process.poll() is not None:
            output = self.process.stdout.read() if self.process.stdout else ""
            raise AssertionError(f"parley run ended with {self.process.returncode}:\n{output}")
        state = self.state()
        return str(state["url"]) if state.get("ready") and state["pid"] == self.process.pid else ""

    def state(self) -> dict[str, Any]:
        """What the supervisor writes down of itself: pid, url, ready, children by name."""
        try:
            state: dict[str, Any] = json.loads((self.data_dir / "run" / "supervisor.json").read_text())
        except (OSError, ValueError):
            return {}
        return state

    def pids(self, kind: str) -> list[int]:
        """Pids of the running processes of a kind: `web`, `worker`, `scheduler`."""
        return [pid for name, pid in self.state().get("children", {}).items() if name.split("-")[0] == kind]

    def server_pid(self, name: str) -> int:
        """Pid of an embedded server, `database` or `redis`; waits for one that is being started again."""

        def noted() -> int:
            state = json.loads((self.data_dir / "run" / "servers.json").read_text())
            return int(state.get(name, {}).get("pid", 0))

        return eventually(noted, what=f"a running {name}")

    def kill(self, kind: str) -> list[int]:
        """Kill -9 all processes of a kind, with what they have started; returns the pids that are gone."""
        killed = self.pids(kind)
        for pid in killed:
            os.killpg(pid, signal.SIGKILL)
        return killed

    def await_restart(self, kind: str, killed: list[int], *, within_s: float = 30.0) -> list[int]:
        """Wait until as many processes of a kind run, other than those killed, and are ready; returns their pids."""

        def restarted() -> list[int]:
            state = self.state()
            pids = [pid for name, pid in state["children"].items() if name.split("-")[0] == kind]
            fresh = [pid for pid in pids if pid not in killed and pid in state["ready_pids"]]
            return fresh if len(fresh) >= len(killed) else []

        return eventually(restarted, within_s=within_s, what=f"the restart of {kind}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stop as Ctrl-C does; returns the exit code. Deletes a data folder that was this server's own."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            if self.process.stdout:
                self.process.stdout.close()
            if self.own_folder:
                shutil.rmtree(self.own_folder, ignore_errors=True)
        return code

    def log(self, name: str) -> str:
        """The log of a process: `web-1`, `worker-1`, `scheduler-1`, `postgres`, `redis`."""
        return (self.data_dir / "log" / f"{name}.log").read_text()
