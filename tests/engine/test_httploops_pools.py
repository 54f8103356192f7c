"""The connection pools of clients that are shared by loops: one for each loop that lives, none for one that is closed."""

from __future__ import annotations

import asyncio
import gc
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.engine.httploops import keep_loops_apart


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def client() -> httpx.AsyncClient:
    keep_loops_apart()
    return httpx.AsyncClient(trust_env=False)


async def got(client: httpx.AsyncClient, address: str, times: int = 1) -> int:
    return sum([(await client.get(address)).status_code == 200 for _ in range(times)])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the open files of this process in /proc")
def test_a_loop_that_was_closed_leaves_no_connection_behind(client: httpx.AsyncClient, address: str) -> None:
    def open_files() -> int:
        gc.collect()
        return len(os.listdir(Path("/proc/self/fd")))

    for _ in range(3):
        assert asyncio.run(got(client, address)) == 1
    before = open_files()
    for _ in range(10):
        assert asyncio.run(got(client, address)) == 1
    assert open_files() <= before + 2


def test_the_first_loop_may_be_closed_and_its_connections_are_not_taken_up_by_another(client: httpx.AsyncClient, address: str) -> None:
    for _ in range(3):
        assert asyncio.run(got(client, address, times=2)) == 2
        gc.collect()


def test_loops_that_use_a_new_client_at_the_same_moment_each_get_a_pool(address: str) -> None:
    keep_loops_apart()
    for _ in range(10):
        client, together = httpx.AsyncClient(trust_env=False), threading.Barrier(4)
        succeeded: list[int] = []

        def use(client: httpx.AsyncClient = client, together: threading.Barrier = together, succeeded: list[int] = succeeded) -> None:
            async def at_once() -> int:
                together.wait(10)
                return await got(client, address, times=5)

            succeeded.append(asyncio.run(at_once()))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert succeeded == [5, 5, 5, 5]
