"""Raw WebSockets, under each of the servers that this one runs on."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket as sockets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.stack import plain_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["eventlet", "gevent", "threading"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of each kind."""
    environ = plain_environment(
        ASYNC_MODE=request.param,
        DATA_DIR=str(tmp_path_factory.mktemp("data")),
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        REDIS_URL="redis://127.0.0.1:1/0",
        SECRET_KEY="k" * 40,
        DRAIN_S="1",
    )
    command = [sys.executable, "-m", "tests.kit.sockets_server"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()
        server.wait(timeout=20)


def opened(port: int, **options: Any) -> ClientConnection:
    """A client of the server."""
    client: ClientConnection = connect(f"ws://127.0.0.1:{port}/live", **options)
    return client


def closed_with(client: ClientConnection) -> tuple[int, str]:
    """The code and reason with which the server closes."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            client.recv(timeout=20)
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code, ended.value.rcvd.reason


def test_messages_go_both_ways_whatever_their_size(port: int) -> None:
    with opened(port) as client:
        for text in ("hello", "ä" * 10, "x" * 90_000):
            client.send(text)
            assert client.recv(timeout=10) == text


def test_a_message_in_pieces_is_one(port: int) -> None:
    with opened(port) as client:
        client.send(["one ", "two ", "three"])
        assert client.recv(timeout=10) == "one two three"


def test_the_client_closes_and_is_answered(port: int) -> None:
    with opened(port) as client:
        client.close(1000)
        assert client.close_code == 1000


def test_the_end_of_the_talk_closes_the_socket(port: int) -> None:
    with opened(port) as client:
        client.send("end")
        assert closed_with(client) == (1000, "")


def test_a_refusal_closes_with_its_code(port: int) -> None:
    with opened(port) as client:
        client.send("refuse")
        assert closed_with(client) == (4403, "Not you.")


def test_a_bug_closes_without_a_word_of_it(port: int) -> None:
    with opened(port) as client:
        client.send("break")
        assert closed_with(client) == (1011, "Internal server error")


def test_a_message_that_is_too_large_closes(port: int) -> None:
    with opened(port) as client:
        client.send("x" * 200_000)
        assert closed_with(client)[0] == 1009


def test_a_message_that_is_no_text_closes(port: int) -> None:
    with opened(port) as client:
        client.send(b"bytes")
        assert closed_with(client)[0] == 1003


def test_a_client_that_reads_gets_everything_however_much_it_is(port: int) -> None:
    with opened(port, max_size=None) as client:
        client.send("feed 4000")
        for number in range(4000):
            assert client.recv(timeout=20).split()[0] == str(number)


def test_a_client_that_does_not_read_is_cut_off(port: int) -> None:
    with raw(port) as line:
        line.settimeout(20)
        line.sendall(masked("flood 4000"))
        is_cut = select.poll()
        is_cut.register(line, select.POLLHUP | select.POLLRDHUP | select.POLLERR)
        is_cut.poll(2_000)  # it is cut off meanwhile; where the system's buffers are full, that is seen behind them
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := line.recv(1_000_000):
                heard += piece
        assert 0 < len(heard) < 4000 * 10_000


def test_a_client_that_is_silent_is_asked_and_closed(port: int) -> None:
    with raw(port) as line:
        line.settimeout(20)
        heard = b""
        while piece := line.recv(65_536):
            heard += piece
        assert heard.startswith(b"\x89\x00")  # a ping
        assert heard[2:6] == bytes([0x88, 2 + len("You are silent.")]) + (1001).to_bytes(2, "big")


def test_a_client_that_answers_pings_stays(port: int) -> None:
    with opened(port, ping_interval=None) as client:
        with pytest.raises(TimeoutError):
            client.recv(timeout=2)
        client.send("still here")
        assert client.recv(timeout=10) == "still here"


def test_many_clients_talk_at_once(port: int) -> None:
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(opened(port)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(str(number))
        assert [client.recv(timeout=10) for client in clients] == [str(number) for number in range(50)]


def test_a_plain_request_is_refused(port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/live").status_code == 400


def test_a_handshake_that_is_none_is_refused(port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/live", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert answer.status_code == 400


def raw(port: int) -> sockets.socket:
    """A client that has shaken hands, and does nothing by itself."""
    line = sockets.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    line.sendall(
        f"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += line.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return line


def masked(text: str) -> bytes:
    """A text frame as a client sends it."""
    mask, data = os.urandom(4), text.encode()
    return bytes([0x81, 0x80 | len(data)]) + mask + bytes(each ^ mask[index % 4] for index, each in enumerate(data))
