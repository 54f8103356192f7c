"""A client that costs little: HTTP/1.1 over one kept connection, on asyncio, with nothing in between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answered", "Line", "Streamed"]

LIMIT_S = 120.0
Json = Any


class Answered(Exception):
    """Something else than what was asked for."""


@dataclass
class Streamed:
    """A stream that was heard to its end. Seconds are counted from the request."""

    first_s: float
    first_token_s: float
    took_s: float
    tokens: int


class Line:
    """One connection to a server; a request after the other."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        place = urlsplit(base_url)
        self._host, self._port = place.hostname or "127.0.0.1", place.port or 80
        self._head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": place.netloc, **headers}.items())
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, method: str, path: str, payload: Json = None) -> Json:
        """The JSON of an answer. Raises Answered for anything but 2xx."""
        status, headers = await asyncio.wait_for(self._ask(method, path, payload), LIMIT_S)
        content = await asyncio.wait_for(self._content(headers), LIMIT_S)
        if headers.get("connection", "").lower() == "close":
            self.close()
        if not 200 <= status < 300:
            raise Answered(f"{method} {path}: {status} {content[:300]!r}")
        return json.loads(content) if content.strip() else None

    async def stream(self, path: str, payload: Json, *, token: bytes) -> Streamed:
        """Hear a stream of server-sent events to its end. token: the line that begins an event that carries one."""
        began = time.perf_counter()
        status, headers = await asyncio.wait_for(self._ask("POST", path, payload, accept="text/event-stream"), LIMIT_S)
        if status != 200:
            raise Answered(f"POST {path}: {status} {(await self._content(headers))[:300]!r}")
        pieces: list[bytes] = []
        first_s = first_token_s = 0.0
        async for piece in self._pieces(headers):
            pieces.append(piece)
            if not first_s and b"event:" in piece:
                first_s = time.perf_counter() - began
            if not first_token_s and token in piece:
                first_token_s = time.perf_counter() - began
        took_s = time.perf_counter() - began
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Streamed(first_s, first_token_s, took_s, b"".join(pieces).count(token))

    async def listen(self, path: str) -> None:
        """Begin to hear a stream, and leave it open."""
        status, headers = await asyncio.wait_for(self._ask("GET", path, None, accept="text/event-stream"), LIMIT_S)
        if status != 200:
            raise Answered(f"GET {path}: {status} {(await self._content(headers))[:300]!r}")

    def close(self) -> None:
        """Hang up; the next request opens a new connection."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    # -- on the wire ---------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, payload: Json, accept: str = "application/json") -> tuple[int, dict[str, str]]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=2**20)
        content = b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode()
        kind = "Content-Type: application/json\r\n" if content else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Accept: {accept}\r\n{kind}Content-Length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        named = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in named}

    async def _content(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return b"".join([piece async for piece in self._pieces(headers)])

    async def _pieces(self, headers: Mapping[str, str]) -> Any:
        """What comes, without the marks of chunks. An event is never torn apart by them: a server sends whole events."""
        if headers.get("transfer-encoding", "").lower() != "chunked":
            if "content-length" in headers:
                yield await self._reader.readexactly(int(headers["content-length"]))
            elif headers.get("connection", "").lower() == "close":
                yield await self._reader.read()
            return
        while True:
            size = int((await asyncio.wait_for(self._reader.readuntil(b"\r\n"), LIMIT_S)).partition(b";")[0], 16)
            piece = await self._reader.readexactly(size + 2)
            if size == 0:
                return
            yield piece[:-2]
