"""What Flask-SocketIO does not say by itself: how far behind a socket is, and how to be rid of one that does not read."""

from __future__ import annotations

from flask_socketio import SocketIO

__all__ = ["backlog", "cut_off"]


def backlog(socketio: SocketIO, sid: str, namespace: str) -> int:
    """How many packets wait to be read by a socket; 0 for one that is gone."""
    socket = _engine_socket(socketio, sid, namespace)
    return socket.queue.qsize() if socket is not None else 0


def cut_off(socketio: SocketIO, sid: str, namespace: str) -> None:
    """End a socket's transport at once, whatever waits for it."""
    socket = _engine_socket(socketio, sid, namespace)
    if socket is not None:
        socket.close(wait=False, abort=True)


def _engine_socket(socketio: SocketIO, sid: str, namespace: str) -> object | None:
    server = socketio.server
    return server.eio.sockets.get(server.manager.eio_sid_from_sid(sid, namespace))
