"""Calls to addresses that users give, such as webhooks, without becoming a way into the network that the server stands in.

http and https only. Every address that a name resolves to has to be public; the name is looked up once, and the connection goes to
the very address that was checked (a name that resolves anew cannot move it), under the name that was given (Host, SNI, certificate).
No credentials in the address, no redirects, no proxy of the environment. A call has one deadline for all of it, and an answer is read
up to a bound. Blocks: for plain threads and for green ones.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore

from server.kit.errors import Invalid

__all__ = ["Answer", "CallFailed", "CallRefused", "Resolve", "call", "check_url", "is_public", "turn"]

MAX_URL_CHARS = 2048
MAX_ANSWER_BYTES = 2**20
TIMEOUT_S = 10.0
AT_ONCE_BYTES = 16 * 1024  # written between two looks at the clock
CALLS = 8  # under way at once in a process, so that whoever does not answer leaves threads for the rest
CALLS_OF_ONE = 2  # of these, for one and the same caller
# Of the ports that only a system's own services listen on, those of the web alone: nobody is made to speak to a mail server.
SYSTEM_PORTS = 1024
WEB_PORTS = (80, 443)

# Dots and digits, hexadecimal or not: what some resolvers take for an IPv4 address though it is not written as one.
ODD_ADDRESS = re.compile(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+))*\.?", re.IGNORECASE)
NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.?", re.IGNORECASE)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
CARRYING = ipaddress.IPv6Network("::/96")  # IPv4 in IPv6, long out of use; RFC 4291, 2.5.5.1

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Iterable[str]]


class CallRefused(Invalid):
    """This address may not be called."""

    code = "url_refused"


class CallFailed(Exception):
    """The other side could not be reached, or did not answer in time; it may another time."""


@dataclass(frozen=True)
class Answer:
    """What the other side said. `is_whole` is False where there was more than was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet.

    One that carries an IPv4 address in it is not taken at all, but for how a network of IPv6 alone reaches IPv4: that is judged by
    the address it carries.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped or address.sixtofour or address.teredo or address.is_site_local or address in CARRYING:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def check_url(url: str, *, private: bool = False) -> SplitResult:
    """The parts of an address that may be called as far as it can be seen from how it is written; connects to nothing.

    private: addresses of this machine and its network may be called too.
    Raises CallRefused (422), whose message says what is wrong.
    """
    if len(url) > MAX_URL_CHARS or any(character <= " " or character == "\\" or ord(character) > 126 for character in url):
        raise CallRefused("This is no address of the web.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise CallRefused("This is no address of the web.") from None
    if parts.scheme not in ("http", "https") or not url.lower().startswith(f"{parts.scheme}://") or not parts.hostname:
        raise CallRefused("Only whole http and https addresses can be called.")
    if "@" in parts.netloc:
        raise CallRefused("An address with a user name in it cannot be called.")
    if port is not None and port < SYSTEM_PORTS and port not in WEB_PORTS:
        raise CallRefused(f"Port {port} cannot be called.")
    _check_host(parts.hostname, private=private, is_bracketed="[" in parts.netloc)
    return parts


def _check_host(host: str, *, private: bool, is_bracketed: bool) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None:
        _check_address(address, private=private)
    elif is_bracketed or ODD_ADDRESS.fullmatch(host) or len(host) > 253 or not NAME.fullmatch(host):
        raise CallRefused("This is no name of a host.")
    elif not private and host.rstrip(".").rpartition(".")[2] == "localhost":
        raise CallRefused("This address is not on the public internet.")


def _check_address(address: Address, *, private: bool) -> None:
    if private and (address.is_private or address.is_loopback):
        return
    if not is_public(address):
        raise CallRefused("This address is not on the public internet.")


def _looked_up(host: str, port: int) -> list[str]:
    """The addresses of a name, IPv4 first, since that is reachable from more places."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return [str(entry[4][0]) for entry in found]


_under_way: Counter[str] = Counter()
_counting = threading.Lock()


@contextmanager
def turn(caller: str) -> Iterator[bool]:
    """Whether there is room for one more call of that caller in this process; the room is held until the end of the block."""
    with _counting:
        has_room = _under_way.total() < CALLS and _under_way[caller] < CALLS_OF_ONE
        if has_room:
            _under_way[caller] += 1
    try:
        yield has_room
    finally:
        with _counting:
            if has_room:
                _under_way[caller] -= 1
            if not _under_way[caller]:
                del _under_way[caller]


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    private: bool = False,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_ANSWER_BYTES,
    resolve: Resolve = _looked_up,
) -> Answer:
    """What the server at `url` answers, whatever its status; a redirect is an answer too, and not followed.

    private: addresses of this machine and its network may be called too.
    timeout_s: for all of it, from the connection to the last byte. Looking a name up has the system's own bound.
    Raises CallRefused before anything is connected to, CallFailed.
    """
    check_url(url, private=private)
    network = _Guarded(time.monotonic() + timeout_s, resolve, private=private)
    lines = [("Connection", "close"), *(headers or {}).items()]
    try:
        with (
            httpcore.ConnectionPool(network_backend=network, max_connections=1, retries=0) as pool,
            pool.stream(method, url, headers=lines, content=body) as response,
        ):
            return _read(response, max_bytes)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, UnicodeError) as error:
        raise CallFailed(type(error).__name__) from None


def _read(response: httpcore.Response, max_bytes: int) -> Answer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    body = bytearray()
    is_whole = True
    for part in response.iter_stream():
        body += part
        if len(body) > max_bytes:
            is_whole = False
            break
    return Answer(response.status, headers, bytes(body[:max_bytes]), is_whole)


class _Guarded(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and to nothing else, until a deadline."""

    def __init__(self, deadline: float, resolve: Resolve, *, private: bool) -> None:
        self._deadline = deadline
        self._resolve = resolve
        self._private = private
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address of `host`; every one of its addresses has to be allowed."""
        addresses = [address.partition("%")[0] for address in self._resolve(host, port)]
        for address in addresses:
            _check_address(ipaddress.ip_address(address), private=self._private)
        if not addresses:
            raise httpcore.ConnectError
        stream = self._inner.connect_tcp(addresses[0], port, _left(self._deadline), local_address, socket_options)
        return _Dated(stream, self._deadline)

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Refused: nobody's address is one."""
        raise CallRefused


class _Dated(httpcore.NetworkStream):
    """A connection on which everything has to be done by one moment."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), AT_ONCE_BYTES):
            self._inner.write(buffer[start : start + AT_ONCE_BYTES], _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> httpcore.NetworkStream:
        return _Dated(self._inner.start_tls(ssl_context, server_hostname, _left(self._deadline)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(deadline: float) -> float:
    """The seconds until a moment. Raises ReadTimeout when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
