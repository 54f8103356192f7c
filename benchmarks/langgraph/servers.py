"""The servers that are compared, each started from nothing on a free port, with the same agents, and stopped again."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Server", "started"]

ROOT = Path(__file__).parents[2]
AGENTS = Path(__file__).parent / "agents"
START_S = 90.0
STOP_S = 30.0
PASSWORD = "correct horse battery"


@dataclass
class Server:
    """A running server. pids: its processes by what they are, each with all that descend from it; empty when it is not ours to look at."""

    kind: str
    base_url: str
    headers: dict[str, str]
    pids: dict[str, int] = field(default_factory=dict)
    database_url: str = ""
    redis_url: str = ""
    version: str = ""
    ready_s: float = 0.0


@contextmanager
def started(kind: str, *, programs: Mapping[str, str]) -> Iterator[Server]:
    """A server of a kind. programs: where the peers' programs are (`langgraph`: the command; `aegra`: a Python that has it)."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with KINDS[kind](folder, programs) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(**values: str) -> dict[str, str]:
    """The environment of a machine on which nobody has set anything."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **values}


def _asked(url: str, payload: Any = None, **headers: str) -> Any:
    content = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


@contextmanager
def _process(command: list[str], folder: Path, is_ready: Callable[[], bool], **environ: str) -> Iterator[tuple[int, float]]:
    """A process that is ready, and after how long; interrupted at the end, with all that it has started."""
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=_environment(**environ), stdout=log, stderr=log, start_new_session=True)
    try:
        while not _holds(is_ready):
            if process.poll() is not None or time.monotonic() - began > START_S:
                raise SystemExit(f"{command[0]} did not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield process.pid, time.monotonic() - began
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _holds(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env=_environment()).stdout.strip()


def _with_agents(folder: Path) -> None:
    """A copy of the agents that asks for a key, for servers that leave that to the operator."""
    shutil.copytree(AGENTS, folder, dirs_exist_ok=True)
    config = json.loads((folder / "langgraph.json").read_text())
    (folder / "langgraph.json").write_text(json.dumps({**config, "auth": {"path": "./sign_in.py:auth"}}))


# -- ours --------------------------------------------------------------------------------------------------------------


@contextmanager
def _parley(folder: Path, programs: Mapping[str, str]) -> Iterator[Server]:
    """As it comes: embedded PostgreSQL and Redis, one web process, one worker, an account with an API key."""
    run = folder / "data" / "run"

    def state() -> dict[str, Any]:
        told: dict[str, Any] = json.loads((run / "supervisor.json").read_text())
        return told

    environ = {"PORT": "0", "DATA_DIR": str(folder / "data"), "AGENTS_CONFIG": str(AGENTS / "langgraph.json"), "PYTHONPATH": str(ROOT)}
    environ |= {name: os.environ[name] for name in ("LOG_LEVEL", "ASYNC_MODE", "MAX_QUEUED_RUNS", "WEB_PROCESSES") if name in os.environ}
    command = [sys.executable, "-m", "server.cli", "run"]
    with _process(command, folder, lambda: bool(state().get("ready")), **environ) as (pid, ready_s):
        url, children = state()["url"], state()["children"]
        servers = json.loads((run / "servers.json").read_text())
        pids = {"supervisor": pid, **children, **{name: servers[name]["pid"] for name in ("database", "redis")}}
        person = {"email": "ada@example.com", "password": PASSWORD}
        _asked(f"{url}/register", person)
        token = _asked(f"{url}/auth/login", person)["access_token"]
        made = _asked(f"{url}/user/api_key", {"name": "benchmark"}, Authorization=f"Bearer {token}")
        version = _output("git", "-C", str(ROOT), "describe", "--always", "--dirty") if (ROOT / ".git").exists() else "installed"
        yield Server(
            "parley", url, {"X-Api-Key": made["api_key"]}, pids, servers["database"]["url"], servers["redis"]["url"],
            f"Parley {version}", ready_s,
        )  # fmt: skip


# -- peers -------------------------------------------------------------------------------------------------------------


@contextmanager
def _langgraph_dev(folder: Path, programs: Mapping[str, str]) -> Iterator[Server]:
    """`langgraph dev`: everything in one process and in memory, written to a file now and then."""
    _with_agents(folder)
    key, port = secrets.token_urlsafe(), _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [programs["langgraph"], "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    environ = {"BENCHMARK_KEY": key, "LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    with _process(command, folder, lambda: bool(_asked(f"{url}/ok")["ok"]), **environ) as (pid, ready_s):
        python = str(Path(programs["langgraph"]).parent / "python")
        version = f"`langgraph dev` (langgraph-api {_installed(python, 'langgraph-api')}, langgraph {_installed(python, 'langgraph')})"
        yield Server("langgraph-dev", url, {"Authorization": f"Bearer {key}"}, {"server": pid}, version=version, ready_s=ready_s)


def _installed(python: str, package: str) -> str:
    return _output(python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))")


@contextmanager
def _aegra(folder: Path, programs: Mapping[str, str], *, has_workers: bool) -> Iterator[Server]:
    """Aegra over a PostgreSQL (and with workers a Redis) of the same make and settings as ours."""
    sys.path.insert(0, str(ROOT))
    from server.kit.embedded.attachment import attach
    from server.settings import load

    _with_agents(folder)
    key, port = secrets.token_urlsafe(), _free_port()
    url = f"http://127.0.0.1:{port}"
    with attach(load({"DATA_DIR": str(folder / "data")})) as attached:
        settings = attached.settings
        servers = json.loads((folder / "data" / "run" / "servers.json").read_text())
        environ = {
            "BENCHMARK_KEY": key,
            "DATABASE_URL": settings.database_url.replace("+psycopg", ""),
            "REDIS_URL": settings.redis_url,
            "REDIS_BROKER_ENABLED": str(has_workers).lower(),
            "AUTH_TYPE": "custom",
            "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(folder),
        }
        command = [programs["aegra"], "-m", "uvicorn", "aegra_api.main:app", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--log-level", "warning", "--no-access-log"]
        with _process(command, folder, lambda: bool(_asked(f"{url}/health")), **environ) as (pid, ready_s):
            pids = {"server": pid, **{name: servers[name]["pid"] for name in ("database", "redis")}}
            version = f"aegra-api {_installed(programs['aegra'], 'aegra-api')} {'with' if has_workers else 'without'} workers"
            version += f" (langgraph {_installed(programs['aegra'], 'langgraph')})"
            yield Server(
                f"aegra{'-workers' if has_workers else ''}", url, {"Authorization": f"Bearer {key}"}, pids,
                settings.database_url, settings.redis_url, version, ready_s,
            )  # fmt: skip


@contextmanager
def _aegra_with_workers(folder: Path, programs: Mapping[str, str]) -> Iterator[Server]:
    with _aegra(folder, programs, has_workers=True) as server:
        yield server


@contextmanager
def _aegra_without_workers(folder: Path, programs: Mapping[str, str]) -> Iterator[Server]:
    with _aegra(folder, programs, has_workers=False) as server:
        yield server


KINDS: dict[str, Callable[[Path, Mapping[str, str]], Any]] = {
    "parley": _parley,
    "langgraph-dev": _langgraph_dev,
    "aegra": _aegra_without_workers,
    "aegra-workers": _aegra_with_workers,
}
