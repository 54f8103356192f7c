"""A wire between a browser and a server that can be cut, and left cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

__all__ = ["Wire"]

CHUNK_BYTES = 65536


class Wire:
    """A TCP relay, from `with Wire(url) as wire:` to the end of the block; browsers go to `wire.base_url`."""

    def __init__(self, server_url: str) -> None:
        address = urlsplit(server_url)
        self._server = (address.hostname or "127.0.0.1", address.port or 80)
        self._is_down = threading.Event()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, name="wire", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listener)
        self.cut()

    def cut(self) -> int:
        """Cut every connection that is open; returns how many there were."""
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            _shut(end)
        return len(ends) // 2

    def take_down(self) -> None:
        """Cut every connection, and each new one at once, until `bring_up`."""
        self._is_down.set()
        self.cut()

    def bring_up(self) -> None:
        """Let connections through again."""
        self._is_down.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._server, timeout=10)
        except OSError:
            _shut(near)
            return
        far.settimeout(None)
        with self._lock:
            self._ends |= {near, far}
        if self._is_down.is_set():
            self.cut()
        threading.Thread(target=_carry, args=(near, far), daemon=True).start()
        _carry(far, near)


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes from one end until either is gone; then both are."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
    _shut(source)
    _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
