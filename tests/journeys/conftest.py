"""What the journeys share: one whole server with the agents of the tests, and web processes beside its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.journeys.hub import Hub
from tests.stack import ROOT, Stack, eventually, parley
from tests.talk import Person

AGENTS = ROOT / "tests" / "graphs" / "langgraph.json"


@pytest.fixture(scope="package")
def agents() -> Iterator[Stack]:
    """A whole server with the agents of `tests/graphs`. What a test kills of it has to be back when the test ends."""
    running = Stack.started(AGENTS_CONFIG=str(AGENTS), MESSAGE_RATE="100000")
    yield running
    running.stop()


@contextlib.contextmanager
def web_beside(stack: Stack, **environ: str) -> Iterator[str]:
    """The address of another web process of a server, on a port of its own, with settings of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (stack.data_dir / "log" / "web-beside.log").open("a") as log:
        process = parley("web", environ={**stack.environ, "PORT": str(port), **environ}, stdout=log, start_new_session=True)
    try:
        eventually(lambda: requests.get(f"{url}/ping", timeout=5).ok, within_s=60, what="the second web process")
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="package")
def second_web(agents: Stack) -> Iterator[str]:
    """The address of a second web process of the shared server."""
    with web_beside(agents) as url:
        yield url


@pytest.fixture(scope="module")
def ada(agents: Stack) -> Person:
    """Somebody with an account."""
    return Person(agents.base_url)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder whose path is short enough for unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="parley-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def rested(server: Hub) -> Iterator[None]:
    """A worker that is ready after each test, whatever that did to the one before."""
    yield
    eventually(lambda: server.stack.pids("worker") and set(server.stack.pids("worker")) <= set(server.stack.state()["ready_pids"]))


@pytest.fixture
def neighbours(server: Hub) -> Iterator[list[str]]:
    """Runs of a well-behaved agent; at the end of the test they have to have ended well, and to have been said once."""
    run_ids = server.start("steps", "n=20 delay=0.05", count=5)
    server.await_status(run_ids, "running")
    yield run_ids
    rows = server.await_status(run_ids, within_s=90)
    assert {row["status"] for row in rows} == {"success"}
    server.check(run_ids)
