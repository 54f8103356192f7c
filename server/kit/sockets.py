"""What Flask-SocketIO does not say by itself: what waits for a socket to be read, and how to be rid of one in order or at once.

A `Wire` is the open transport under one Socket.IO socket. Nothing here blocks: what is sent is queued, and a socket that is gone takes
it without a word.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from engineio import packet as engine
from engineio.exceptions import QueueEmpty, SocketIsClosedError
from engineio.payload import Payload
from flask_socketio import SocketIO
from socketio import packet as io

__all__ = ["Frames", "Wire", "encoded", "strangers", "take_long_payloads"]

# Python's client takes no answer to a long poll that holds more packets, and breaks off; so does its server with requests, unless told.
POLLED_PACKETS = 16
POSTED_PACKETS = 500

# An event as it goes out; made once, however many sockets it is for.
Frames = list[Any]


def encoded(event: str, data: object, *, namespace: str) -> Frames:
    """An event ready to be sent to any number of sockets."""
    text = io.Packet(io.EVENT, data=[event, data], namespace=namespace).encode()
    return [engine.Packet(engine.MESSAGE, part) for part in (text if isinstance(text, list) else [text])]


class Wire:
    """The transport of the socket `sid`, which is connecting or connected."""

    def __init__(self, socketio: SocketIO, sid: str, namespace: str) -> None:
        self._server = socketio.server
        self._sid = sid
        self._namespace = namespace
        self._transport = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(sid, namespace))
        if self._transport is not None:
            self._transport.poll = partial(_poll, self._transport)

    @property
    def is_gone(self) -> bool:
        """Whether nothing that is sent will arrive any more."""
        return self._transport is None or self._transport.closed

    @property
    def is_accepted(self) -> bool:
        """Whether the client was told that it is connected (and not yet that it no longer is)."""
        return bool(self._server.manager.is_connected(self._sid, self._namespace))

    def send(self, frames: Frames) -> None:
        """Queue an event."""
        if self.is_gone:
            return
        try:
            for frame in frames:
                self._transport.send(frame)
        except SocketIsClosedError:
            return

    def unread(self) -> tuple[int, int]:
        """How many frames wait to be written, and how many characters they have."""
        if self.is_gone:
            return 0, 0
        waiting = [frame for frame in list(self._transport.queue.queue) if frame is not None]
        return len(waiting), sum(len(frame.data) for frame in waiting if frame.data is not None)

    def hang_up(self) -> None:
        """Disconnect the socket, then its transport: what was sent before still goes out."""
        if self.is_gone:
            return
        self._server.disconnect(self._sid, namespace=self._namespace)
        self._transport.close(wait=False)

    def cut(self) -> None:
        """End the transport at once, whatever waits."""
        if not self.is_gone:
            self._transport.close(wait=False, abort=True)


def _poll(transport: Any) -> list[Any]:
    """The next packets to write to a client, at most POLLED_PACKETS; [] when the transport was closed. Takes the place of `Socket.poll`."""
    queue, server = transport.queue, transport.server
    is_empty = server.get_queue_empty_exception()
    packets: list[Any] = []
    while len(packets) < POLLED_PACKETS:
        try:
            packet = queue.get(block=False) if packets else queue.get(timeout=server.ping_interval + server.ping_timeout)
        except is_empty:
            if packets:
                break
            raise QueueEmpty from None
        queue.task_done()
        if packet is None:
            if packets:
                queue.put(None)
            break
        packets.append(packet)
    return packets


def take_long_payloads() -> None:
    """Let a client that polls send more events in one request than the library's 16, of which it would drop all."""
    Payload.max_decode_packets = POSTED_PACKETS


def strangers(socketio: SocketIO, namespace: str) -> dict[str, Any]:
    """The transports that nobody has asked for the namespace on, by their id; each has a `close`."""
    server = socketio.server
    return {
        transport_id: transport
        for transport_id, transport in server.eio.sockets.copy().items()
        if server.manager.sid_from_eio_sid(transport_id, namespace) is None and not transport.closed
    }
