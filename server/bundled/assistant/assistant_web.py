"""Reading a web page on behalf of a model, without becoming its way into the network that the server stands in.

http and https only; every address that a name resolves to has to be public; the connection goes to the very address that was
checked (a name that resolves anew cannot move it); each redirect is checked like the first address. No credentials, no cookies.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

__all__ = ["PageRefused", "fetch_text", "is_public"]

MAX_BYTES = 2**20
MAX_CHARS = 20_000  # what a model is given of a page
MAX_REDIRECTS = 5
TIMEOUT_S = 10.0  # for all of it, redirects included

TEXT_TYPES = re.compile(r"text/|application/(json|xml|xhtml\+xml|[\w.+-]+\+(json|xml))\b")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # how a network of IPv6 alone reaches IPv4; RFC 6052

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Judge = Callable[[Address], bool]


class PageRefused(Exception):
    """The page cannot be read; the message says why, for the model."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet; one that carries an IPv4 address is judged by that, or not taken at all."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.teredo or address.sixtofour or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


async def fetch_text(url: str, *, may_connect: Judge = is_public, timeout_s: float = TIMEOUT_S) -> str:
    """The text of the page, at most MAX_CHARS of it. Raises PageRefused; takes at most `timeout_s`.

    may_connect: which addresses a connection may go to.
    """
    try:
        async with asyncio.timeout(timeout_s):
            async with httpcore.AsyncConnectionPool(network_backend=_Guarded(may_connect), max_connections=1) as pool:
                return await _follow(pool, url)
    except TimeoutError:
        raise PageRefused(f"The page did not come within {timeout_s:g} seconds.") from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError):
        raise PageRefused("The server of this page could not be reached.") from None


async def _follow(pool: httpcore.AsyncConnectionPool, url: str) -> str:
    for _ in range(MAX_REDIRECTS + 1):
        _checked(url)
        async with pool.stream("GET", url, headers=_HEADERS) as response:
            location = _header(response, b"location")
            if not 300 <= response.status < 400 or not location:
                return await _read(response)
        url = urljoin(url, location)
    raise PageRefused(f"The page redirects more than {MAX_REDIRECTS} times.")


_HEADERS = {"User-Agent": "parley-assistant", "Accept": "text/html, text/*, application/json", "Accept-Encoding": "identity"}


def _checked(url: str) -> SplitResult:
    """The parts of an address that may be opened. Raises PageRefused."""
    if any(character <= " " or character == "\\" or ord(character) > 126 for character in url):
        raise PageRefused("This is no address of a web page.")
    try:
        parts = urlsplit(url)
        is_odd = parts.port == 0
    except ValueError:
        raise PageRefused("This is no address of a web page.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or is_odd:
        raise PageRefused("Only http and https addresses can be opened.")
    if "@" in parts.netloc:
        raise PageRefused("An address with a user name in it cannot be opened.")
    return parts


async def _read(response: httpcore.Response) -> str:
    if response.status != 200:
        raise PageRefused(f"The server of this page answered with status {response.status}.")
    kind = _header(response, b"content-type").lower()
    if not TEXT_TYPES.match(kind):
        raise PageRefused("This address does not hold text.")
    body = bytearray()
    async for part in response.aiter_stream():
        body += part
        if len(body) > MAX_BYTES:
            raise PageRefused(f"The page is larger than {MAX_BYTES} bytes.")
    text = _decoded(bytes(body), kind)
    if "html" in kind:
        text = await asyncio.to_thread(_words_of, text)
    return text[:MAX_CHARS] or "The page holds no text."


def _decoded(body: bytes, kind: str) -> str:
    found = re.search(r"charset=\"?([\w-]+)", kind)
    try:
        return body.decode(found[1] if found else "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were judged, and to nothing else."""

    def __init__(self, may_connect: Judge) -> None:
        self._may_connect = may_connect
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's name)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address of `host`; every one of its addresses has to be allowed."""
        addresses = await _resolved(host, port)
        if not all(self._may_connect(ipaddress.ip_address(address.partition("%")[0])) for address in addresses):
            raise PageRefused("This address is not on the public internet.")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, path: str, **options: Any) -> httpcore.AsyncNetworkStream:
        """Refused: a page is never behind one."""
        raise PageRefused("This address is not on the public internet.")


async def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, IPv4 first, since that is reachable from more places."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PageRefused("The name in this address is not known.") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return [str(entry[4][0]) for entry in found]


class _Words(HTMLParser):
    """Collects the text of a page, without its scripts and styles."""

    SILENT = frozenset({"script", "style", "noscript", "template", "svg"})
    BREAKING = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "pre", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        if tag in self.BREAKING:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self.SILENT and self._silent > 0

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def _words_of(page: str) -> str:
    words = _Words()
    words.feed(page)
    words.close()
    lines = (" ".join(line.split()) for line in "".join(words.parts).split("\n"))
    return "\n".join(line for line in lines if line)
