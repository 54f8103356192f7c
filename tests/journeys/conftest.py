"""What the journeys share: one whole server with the agents of the tests, and a second web process beside it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.stack import ROOT, Stack, eventually, parley
from tests.talk import Person

AGENTS = ROOT / "tests" / "graphs" / "langgraph.json"


@pytest.fixture(scope="session")
def agents() -> Iterator[Stack]:
    """A whole server with the agents of `tests/graphs`. What a test kills of it has to be back when the test ends."""
    running = Stack.started(AGENTS_CONFIG=str(AGENTS), MESSAGE_RATE="100000")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def second_web(agents: Stack) -> Iterator[str]:
    """The address of another web process of the same server, on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Path(agents.data_dir / "log" / "web-beside.log").open("w") as log:
        process = parley("web", environ={**agents.environ, "PORT": str(port)}, stdout=log, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: requests.get(f"{url}/ping", timeout=5).ok, within_s=60, what="the second web process")
        yield url
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def ada(agents: Stack) -> Person:
    """Somebody with an account."""
    return Person(agents.base_url)
