"""Calls to addresses that users give: what is refused, and that nothing is connected to before it is."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from server.kit.outbound import CALLS, CALLS_OF_ONE, CallFailed, CallRefused, Resolve, call, check_url, is_public, turn

# Each is another way to say this machine or its network, or is no address of the web at all; PORT is where a server listens here.
HOSTILE = (
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.255.255.254:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0x7F.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://0127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0x0:PORT/",
    "http://1.2.3.4.5:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://a.localhost:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b:1::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[fe80::1%lo]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]:PORT/",
    "http://[fec0::1]:PORT/",
    "http://[ff02::1]:PORT/",
    "http://[100::1]:PORT/",
    "http://[2001:db8::1]:PORT/",
    "http://[127.0.0.1]:PORT/",
    "http://[::1:PORT/",
    "http://10.0.0.1:PORT/",
    "http://172.16.0.1:PORT/",
    "http://192.168.0.1:PORT/",
    "http://100.64.0.1:PORT/",
    "http://169.254.169.254/latest/meta-data/",
    "http://192.0.0.1:PORT/",
    "http://192.0.2.1:PORT/",
    "http://198.18.0.1:PORT/",
    "http://203.0.113.1:PORT/",
    "http://224.0.0.1:PORT/",
    "http://240.0.0.1:PORT/",
    "http://255.255.255.255:PORT/",
    "http://user:word@127.0.0.1:PORT/",
    "http://example.com@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@example.com/",
    "http://example.com:word@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@example.com/",
    "http://example.com\\@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@example.com/",
    "http://127.0.0.1:PORT?@example.com/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127%2e0%2e0%2e1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://ⓛocalhost:PORT/",
    "http://127.0.0.1\t:PORT/",
    "http://127.0.0.1:PORT/\r\nX-Evil: 1",
    "http://127.0.0.1\n.example.com:PORT/",
    " http://127.0.0.1:PORT/",
    "http://127.0.0.1 .example.com:PORT/",
    "http://127.0.0.1\x00.example.com:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "/hook",
    "127.0.0.1:PORT",
    "HTTP://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "ftp://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_GET",
    "dict://127.0.0.1:PORT/",
    "redis://127.0.0.1:PORT/",
    "javascript:fetch('http://127.0.0.1:PORT/')",
    "unix:/run/parley.sock",
    "http://example.com:0/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:99999/",
    "http://example.com:-1/",
    "http://example.com:PORTx/",
    "http://-.example.com:PORT/",
    "http://.:PORT/",
    "http://",
    "",
    "http://" + "a" * 3000,
)


class Listener(ThreadingHTTPServer):
    """A server on loopback that counts who connects."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connects = 0
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self.connects += 1
        return True


class Handler(BaseHTTPRequestHandler):
    """Answers as its path says."""

    server: Listener
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/drip":
            self._drip()
            return
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", "/elsewhere")
        answer = b"x" * 5000 if self.path == "/long" else b"heard"
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def _drip(self) -> None:
        """Send a header that never ends, a byte every so often, each well within any timeout of one read."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        gone = threading.Event()
        try:
            while not gone.wait(0.05):
                self.wfile.write(b"a")
        except OSError:
            gone.set()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    thread.join(5)
    running.server_close()


def test_there_are_enough_hostile_addresses() -> None:
    assert len(set(HOSTILE)) >= 60


def test_no_hostile_address_is_connected_to(listener: Listener) -> None:
    called = []
    for url in HOSTILE:
        try:
            call("POST", url.replace("PORT", str(listener.port)), body=b"{}", timeout_s=2)
        except CallRefused:
            continue
        called.append(url)
    assert called == []
    assert listener.connects == 0


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_address_is_refused_as_it_is_written(url: str) -> None:
    with pytest.raises(CallRefused):
        check_url(url.replace("PORT", "8080"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "http://example.com:8080/a?b=c#d",
        "HTTPS://EXAMPLE.com.",
        "https://a_b.example.com/",
        "https://93.184.215.14/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://xn--bcher-kva.example/",
    ],
)
def test_an_address_of_the_public_internet_may_be_called(url: str) -> None:
    check_url(url)


def test_a_name_that_leads_to_this_machine_is_refused_before_anything_is_connected_to(listener: Listener) -> None:
    def leads_to(addresses: list[str]) -> Resolve:
        return lambda host, port: addresses

    for addresses in (["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["fe80::1%lo"], ["10.1.2.3"]):
        with pytest.raises(CallRefused):
            call("POST", f"http://hook.example:{listener.port}/", resolve=leads_to(addresses))
    assert listener.connects == 0


def test_a_name_is_looked_up_once_so_that_it_cannot_lead_elsewhere_after_the_check(listener: Listener) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    said = call("POST", f"http://hook.example:{listener.port}/", private=True, resolve=lambda host, port: next(answers))
    assert said.body == b"heard"
    assert next(answers) == ["127.0.0.2"]


def test_the_other_side_is_told_the_name_that_was_called(listener: Listener) -> None:
    call("POST", f"http://hook.example:{listener.port}/a?b=c", private=True, body=b"{}", resolve=lambda host, port: ["127.0.0.1"])
    ((method, path, headers, body),) = listener.asked
    assert (method, path, headers["Host"], body) == ("POST", "/a?b=c", f"hook.example:{listener.port}", b"{}")


def test_a_redirect_is_not_followed(listener: Listener) -> None:
    said = call("POST", f"http://127.0.0.1:{listener.port}/away", private=True)
    assert (said.status, said.headers["location"], listener.connects) == (302, "/elsewhere", 1)


def test_an_answer_is_read_up_to_its_bound(listener: Listener) -> None:
    said = call("GET", f"http://127.0.0.1:{listener.port}/long", private=True, max_bytes=1000)
    assert (len(said.body), said.is_whole) == (1000, False)


def test_a_server_that_answers_for_ever_is_left_at_the_deadline(listener: Listener) -> None:
    began = time.monotonic()
    with pytest.raises(CallFailed):
        call("GET", f"http://127.0.0.1:{listener.port}/drip", private=True, timeout_s=0.5)
    assert time.monotonic() - began < 5


def test_a_server_that_is_not_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CallFailed):
        call("GET", f"http://127.0.0.1:{port}/", private=True)


def test_a_name_that_nobody_knows_is_a_failure() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(CallFailed):
        call("GET", "http://hook.example/", resolve=unknown)


def test_header_lines_cannot_be_smuggled_in(listener: Listener) -> None:
    with pytest.raises(CallFailed):
        call("POST", f"http://127.0.0.1:{listener.port}/", private=True, headers={"X-A": "1\r\nX-B: 2"})
    assert listener.asked == []


def test_how_a_network_of_ipv6_reaches_ipv4_is_judged_by_the_address_that_it_carries() -> None:
    assert is_public(ipaddress.ip_address("64:ff9b::5db8:d70e"))
    assert not is_public(ipaddress.ip_address("64:ff9b::a00:1"))


def test_one_caller_cannot_take_the_room_of_all() -> None:
    with turn("anna") as first, turn("anna") as second, turn("anna") as third, turn("ben") as other:
        assert (first, second, third, other) == (True, True, CALLS_OF_ONE > 2, CALLS > 3)
    with turn("anna") as again:
        assert again
