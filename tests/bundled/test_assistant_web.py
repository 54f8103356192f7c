from __future__ import annotations

import asyncio
import importlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

web = importlib.import_module("assistant_web")

PAGE = "<head><title>Café</title><style>p{}</style></head><p>Open <b>daily</b>.<script>bad()</script><p>9 &amp; 5"
PAGES = {
    "/page": (200, "text/html; charset=utf-8", PAGE.encode()),
    "/text": (200, "text/plain; charset=latin-1", "Café".encode("latin-1")),
    "/odd-charset": (200, "text/plain; charset=nonsense", b"plain"),
    "/json": (200, "application/json", b'{"open": true}'),
    "/empty": (200, "text/html", b"<script>only()</script>"),
    "/picture": (200, "image/png", b"\x89PNG"),
    "/untyped": (200, "", b"?"),
    "/missing": (404, "text/plain", b"no"),
    "/large": (200, "text/plain", b"x" * (2**20 + 1)),
    "/long": (200, "text/plain", b"y" * 50_000),
}
REDIRECTS = {
    "/moved": "/page",
    "/loop": "/loop",
    "/to-file": "file:///etc/passwd",
    "/to-other-loopback": "http://127.0.0.2:{port}/page",
    "/to-user": "http://user:word@127.0.0.1:{port}/page",
}


class Site:
    """A web server on loopback. asked: the paths it was asked for. hang: kept asleep until it is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.hang = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.headers.append({name.lower(): value for name, value in self.headers.items()})
                if self.path == "/slow":
                    site.hang.wait()
                    return
                if self.path in REDIRECTS:
                    self.send_response(302)
                    self.send_header("Location", REDIRECTS[self.path].format(port=site.port))
                    self.end_headers()
                    return
                status, kind, body = PAGES[self.path]
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    running = Site()
    yield running
    running.hang.set()
    running.server.shutdown()
    running.server.server_close()


def is_this_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return str(address) == "127.0.0.1"


def fetch(site: Site, path: str, **options: object) -> str:
    return asyncio.run(web.fetch_text(f"http://127.0.0.1:{site.port}{path}", may_connect=is_this_host, **options))


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/page", "Café\nOpen daily.\n9 & 5"),
        ("/moved", "Café\nOpen daily.\n9 & 5"),
        ("/text", "Café"),
        ("/odd-charset", "plain"),
        ("/json", '{"open": true}'),
        ("/empty", "The page holds no text."),
        ("/long", "y" * 20_000),
    ],
)
def test_the_text_of_a_page_is_read(site, path, text):
    assert fetch(site, path) == text


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/picture", "does not hold text"),
        ("/untyped", "does not hold text"),
        ("/missing", "status 404"),
        ("/large", "larger than"),
        ("/loop", "redirects more than"),
        ("/to-file", "Only http and https"),
        ("/to-other-loopback", "not on the public internet"),
        ("/to-user", "user name"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused_with_a_reason(site, path, why):
    with pytest.raises(web.PageRefused, match=why):
        fetch(site, path)


def test_a_server_that_does_not_answer_is_given_up(site):
    with pytest.raises(web.PageRefused, match=r"within 0\.2 seconds"):
        fetch(site, "/slow", timeout_s=0.2)


def test_a_port_on_which_nobody_listens_is_refused_with_a_reason():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        with pytest.raises(web.PageRefused, match="could not be reached"):
            asyncio.run(web.fetch_text(url, may_connect=is_this_host))


def test_a_name_that_nobody_knows_is_refused_with_a_reason():
    with pytest.raises(web.PageRefused, match="is not known"):
        asyncio.run(web.fetch_text("http://no-such-name.invalid/"))


def test_no_credentials_and_no_cookies_are_sent(site):
    fetch(site, "/page")
    assert sorted(site.headers[0]) == ["accept", "accept-encoding", "host", "user-agent"]


def test_the_connection_goes_to_an_address_that_was_judged(site):
    judged = []
    judge = lambda address: judged.append(str(address)) or is_this_host(address)  # noqa: E731
    with pytest.raises(web.PageRefused, match="not on the public internet"):
        asyncio.run(web.fetch_text(f"http://127.0.0.3:{site.port}/page", may_connect=judge))
    assert judged == ["127.0.0.3"]
    assert site.asked == []


# -- hostile addresses -------------------------------------------------------------------------------------------------

HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.255.255.254",
    "0.0.0.0",
    "0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.1.254",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
]
FORMS = [
    "http://user@127.0.0.1:{port}/",
    "http://user:word@127.0.0.1:{port}/",
    "http://example.org@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1:{port}/\r\nHost: example.org",
    "http:///page",
    "http://:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "file:///etc/passwd",
    "unix:///var/run/docker.sock",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:0/",
    "http://[::1/",
    "http://%31%32%37.0.0.1:{port}/",
    "",
]


@pytest.mark.parametrize("url", [f"http://{host}:{{port}}/page" for host in HOSTS] + FORMS)
def test_a_hostile_address_is_refused_and_nobody_is_connected_to(site, url):
    with pytest.raises(web.PageRefused):
        asyncio.run(web.fetch_text(url.format(port=site.port)))
    assert site.asked == []


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_an_address_of_the_public_internet_is_one(address):
    assert web.is_public(ipaddress.ip_address(address))
