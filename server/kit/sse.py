"""Server-sent events: frames, and an answer that goes on until its events end or its reader is gone.

Source: HTML Living Standard 9.2, server-sent events.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, request

__all__ = ["HEARTBEAT", "frame", "is_gone", "response"]

# A comment: keeps the line open, and tells nothing.
HEARTBEAT = b": heartbeat\n\n"


def frame(kind: str, data: bytes, *, number: str | None = None) -> bytes:
    """One event. data: JSON text without line breaks. number: what a client shows as Last-Event-ID to go on after it."""
    named = f"event: {kind}\ndata: ".encode() + data
    return named + (f"\nid: {number}\n\n".encode() if number is not None else b"\n\n")


def response(frames: Iterable[bytes], **headers: str) -> Response:
    """The answer that sends frames as they come; whatever the iterator holds is closed when the reader is gone."""
    answer = Response(frames, content_type="text/event-stream; charset=utf-8", direct_passthrough=True)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    for name, value in headers.items():
        answer.headers[name.replace("_", "-")] = value
    return answer


def is_gone() -> Callable[[], bool]:
    """A probe that tells whether the client of this request has hung up; taken in the request, asked while the answer is sent.

    A server sees that only when it writes, so the socket itself is looked at. Where none can be found, nobody is ever gone.
    """
    connection = _connection(request.environ)
    if connection is None:
        return lambda: False
    return lambda: _has_ended(connection)


def _has_ended(connection: socket.socket) -> bool:
    try:
        descriptor = connection.fileno()
        if descriptor < 0:
            return True
        readable, _, _ = select.select([descriptor], [], [], 0)
        if not readable:
            return False
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except (OSError, ValueError):
        return True


def _connection(environ: dict[str, Any]) -> Any:
    """The socket of a request, as the servers of this project keep it."""
    if "werkzeug.socket" in environ:
        return environ["werkzeug.socket"]
    reader = environ.get("eventlet.input") or environ.get("wsgi.input")
    for name in ("get_socket", "_sock", "socket"):
        found = getattr(reader, name, None)
        if found is not None:
            return found() if callable(found) else found
    raw = getattr(getattr(reader, "rfile", None), "_sock", None) or getattr(getattr(reader, "rfile", None), "raw", None)
    return getattr(raw, "_sock", raw)
