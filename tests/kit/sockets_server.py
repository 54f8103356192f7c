"""A server of the kind that `ASYNC_MODE` names with one WebSocket, for the tests: run as a program with a port."""

from __future__ import annotations

import socket as sockets
import sys
import threading
from typing import TYPE_CHECKING

import wsgi
from server.kit import websocket
from server.kit.errors import Forbidden
from server.kit.websocket import Closed, WebSocket

if TYPE_CHECKING:
    from flask import Response

HEARTBEAT_S = 0.5


def echo(socket: WebSocket) -> None:
    """Answers each message with itself; some ask for something else."""
    for text in socket:
        if text == "refuse":
            raise Forbidden("Not you.")
        if text == "break":
            raise RuntimeError("The talk is broken.")
        if text == "end":
            return
        if text.startswith("flood "):
            threading.Thread(target=flood, args=(socket, int(text.removeprefix("flood "))), daemon=True).start()
        elif text.startswith("feed "):
            threading.Thread(target=feed, args=(socket, int(text.removeprefix("feed "))), daemon=True).start()
        else:
            socket.send(text)


def flood(socket: WebSocket, count: int) -> None:
    """Send at once, whether it is read or not."""
    try:
        for number in range(count):
            socket.send(f"{number} " + "x" * 10_000)
    except Closed:
        return


def feed(socket: WebSocket, count: int) -> None:
    """Send as fast as it is read."""
    try:
        for number in range(count):
            socket.wait_for_room()
            socket.send(f"{number} " + "x" * 10_000)
    except Closed:
        return


@wsgi.app.get("/live", websocket=True)
def live() -> Response:
    """The socket."""
    return websocket.talk(echo, heartbeat_s=HEARTBEAT_S, max_frame_bytes=100_000)


if __name__ == "__main__":
    listener = sockets.create_server(("127.0.0.1", 0))
    listener.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    sys.stdout.close()
    wsgi.serve(listener)
