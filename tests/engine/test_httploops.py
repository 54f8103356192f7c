"""One HTTP client, many loops: each has connections of its own, and without that it fails."""

from __future__ import annotations

import asyncio
import http.server
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest

from server.engine import httploops

# Two loops take turns over one client, each in a thread of its own; prints how many calls failed.
SCRIPT = """
import asyncio, threading
import httpx
from server.engine.httploops import keep_loops_apart
if {apart}:
    keep_loops_apart()
    keep_loops_apart()
client = httpx.AsyncClient(base_url={url!r}, limits=httpx.Limits(max_connections=5))
made, failures = [], []

async def call():
    try:
        assert (await client.get("/")).text == "here"
    except Exception as error:
        failures.append(repr(error))
    made.append(True)

async def many():
    for _ in range(20):
        await asyncio.gather(*(call() for _ in range(10)))

threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(2)]
for thread in threads: thread.start()
before = -1
while any(thread.is_alive() for thread in threads) and before < len(made):
    before = len(made)
    for thread in threads: thread.join(2.5)
asyncio.run(many())
print(len(failures), any(thread.is_alive() for thread in threads))
import os; os._exit(0)
"""


class Here(http.server.BaseHTTPRequestHandler):
    """Says "here" and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def failures(url: str, *, apart: bool) -> tuple[int, bool]:
    """How many of 600 calls failed in a fresh process, and whether it hung: made no call for seconds on end."""
    code = textwrap.dedent(SCRIPT.format(url=url, apart=apart))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    failed, hung = done.stdout.split()
    return int(failed), hung == "True"


def test_two_loops_share_a_client_without_a_failure(url: str) -> None:
    assert failures(url, apart=True) == (0, False)


def test_without_it_they_fail_or_hang(url: str) -> None:
    assert failures(url, apart=False) != (0, False)


def test_a_loop_that_is_gone_takes_its_connections_with_it(url: str) -> None:
    import httpx

    httploops.keep_loops_apart()
    client = httpx.AsyncClient()

    async def call() -> int:
        return (await client.get(url)).status_code

    assert [asyncio.run(call()) for _ in range(5)] == [200] * 5
    pool = client._transport._pool  # type: ignore[attr-defined]
    assert len(pool.__dict__["_twins"]) == 1
