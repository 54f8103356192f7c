"""The Socket.IO door of the chats, namespace `/chat`.

A socket differs from a request: who is on it is settled once, when it opens, and looked at again while it is open (`watch`). A handler's
answer is its acknowledgement: `{"ok": true, …}` or `{"ok": false, "error": {"code", "message"}}`; nothing that a client sends may raise out
of it. The events of one socket are handled one after the other, in the order in which it sent them.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import orjson
from flask import Flask, request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import SocketIO

from server.accounts.actions import Replayed
from server.chats import actions, connections
from server.chats.models import Connection, stream_of
from server.chats.rooms import NAMESPACE, RETRY_S, STORE_IS_AWAY, Rooms, Seat
from server.chats.watch import Watch
from server.kit.clock import iso
from server.kit.db import rollback
from server.kit.errors import Invalid, Refusal, TooMany, Unavailable
from server.kit.sockets import Wire, encoded, take_long_payloads
from server.realtime import control
from server.realtime.log import last_number
from server.settings import Settings

__all__ = ["install"]

log = logging.getLogger(__name__)

ACCEPTED_POLL_S = 0.002
TYPING_S = 1.0  # at most one `typing` of a socket in this time is passed on
EVENTS_A_SECOND = 200  # of one socket; what comes beyond is refused without a look at it
PAYLOAD_SLACK_CHARS = 10_000  # what an event may have besides its content
Ack = dict[str, Any]


def install(app: Flask, settings: Settings) -> SocketIO:
    """Open the door on the app; its sockets hear the notices from the first connection on."""
    socketio = SocketIO(
        app,
        async_mode=settings.async_mode,
        async_handlers=False,
        manage_session=False,
        # None is the server's own origin; an empty list would let everybody in.
        cors_allowed_origins=list(settings.cors_origins) or None,
        max_http_buffer_size=settings.max_message_chars * 4 + PAYLOAD_SLACK_CHARS,
        ping_interval=20,
        ping_timeout=20,
        logger=False,
        engineio_logger=False,
    )
    take_long_payloads()
    gate = Gate(app, socketio, settings)
    app.extensions["chat_gate"] = gate
    socketio.on_event("connect", gate.connect, namespace=NAMESPACE)
    socketio.on_event("disconnect", gate.disconnect, namespace=NAMESPACE)
    for handler in (gate.message, gate.chat_message, gate.resume, gate.answer, gate.cancel, gate.typing):
        socketio.on_event(handler.__name__, acknowledged(gate, handler), namespace=NAMESPACE)
    return socketio


def acknowledged(gate: Gate, handler: Callable[[Seat, Any], Ack]) -> Callable[..., Ack]:
    """A handler whose every outcome is an acknowledgement."""

    @functools.wraps(handler)
    def with_ack(data: object = None, *_: object) -> Ack:
        try:
            return {"ok": True, **handler(gate.known(), data)}
        except Refusal as refusal:
            rollback()
            return _refused(refusal)
        except STORE_IS_AWAY as error:
            rollback()
            log.error("socket.store_is_away", extra={"facts": {"kind": type(error).__name__}})
            return _refused(Unavailable())
        except Exception:
            rollback()
            log.exception("socket.bug")
            return _refused(Refusal("Internal server error", code="internal"))

    return with_ack


def _refused(refusal: Refusal) -> Ack:
    return {"ok": False, "error": {"code": refusal.code, "message": refusal.message}}


class Gate:
    """The handlers of one process's sockets."""

    def __init__(self, app: Flask, socketio: SocketIO, settings: Settings) -> None:
        self._app = app
        self._socketio = socketio
        self._settings = settings
        self.rooms = Rooms(app, socketio, max_unread=settings.socket_queue)
        self.watch = Watch(app, socketio, self.rooms)

    # -- opening and closing -----------------------------------------------------------------------------------------

    def connect(self, auth: object = None) -> None:
        """Let a socket in by what it shows, or refuse it with `expired`, `invalid` or `revoked` (`unavailable`: try again)."""
        self.watch.begin()
        if _sid() in self.rooms.seats:
            raise Refused("invalid")
        shown = auth if isinstance(auth, dict) else {}
        try:
            connection, is_old = self._connection(shown)
        except Replayed:
            raise Refused("revoked") from None
        except Refusal as refusal:
            raise Refused(refusal.code) from None
        except STORE_IS_AWAY:
            raise Refused("unavailable") from None
        wire = Wire(self._socketio, _sid(), NAMESPACE)
        seat = Seat(_sid(), wire, connection.chat_id, connection.user_id, connection.credential, is_old)
        self.rooms.enter(seat)
        self._socketio.start_background_task(self._seat, seat, connection, _number(shown.get("since")))

    def _connection(self, shown: dict[str, Any]) -> tuple[Connection, bool]:
        if "resume_token" in shown:
            return connections.open_by_token(shown["resume_token"], self._settings, chat_id=shown.get("chat_id")), False
        if "connection_string" in shown:
            return connections.open_by_string(shown["connection_string"], self._settings), False
        query = request.args
        return connections.open_by_string(query.get("connection_string"), self._settings, chat_id=query.get("chat_id")), True

    def _seat(self, seat: Seat, connection: Connection, since: int | None) -> None:
        """Tell a socket its resume token once it is let in, then bring it up to now."""
        while not seat.wire.is_accepted and not seat.wire.is_gone:
            self._socketio.sleep(ACCEPTED_POLL_S)
        if seat.wire.is_gone:
            self.rooms.leave(seat.sid)
            return
        with self._app.app_context():
            last = self._last_number(seat)
            if not seat.is_old:
                self.rooms.whisper(seat, "session", self._session(connection, last))
            # A `resume` that was faster says better what the client has.
            if seat.joins == 0:
                self.rooms.join(seat, since=last if since is None else since, last=last)

    def _last_number(self, seat: Seat) -> int:
        """The number of the chat's newest event; waits while the database is away."""
        while True:
            try:
                return last_number(stream_of(seat.chat_id))
            except STORE_IS_AWAY as error:
                log.warning("socket.seat_retries", extra={"facts": {"kind": type(error).__name__}})
            finally:
                # The connection goes back: a socket that reads slowly must not hold one while it is brought up.
                rollback()
            self._socketio.sleep(RETRY_S)

    def _session(self, connection: Connection, last: int) -> dict[str, Any]:
        token = connections.token_of(connection, self._settings)
        return {
            "user_id": str(connection.user_id),
            "resume_token": token.text,
            "expires_at": iso(token.expires_at),
            "last_seq": last,
        }

    def disconnect(self, *_: object) -> None:
        """Forget a socket that is gone."""
        self.rooms.leave(_sid())

    def known(self) -> Seat:
        """The seat of the socket that an event came from. Raises Revoked, TooMany."""
        seat = self.rooms.seats.get(_sid())
        if seat is None:
            raise actions.Revoked
        if not seat.may_say_more(EVENTS_A_SECOND):
            # Lets the other sockets have their turn: a flood that is refused waits for nothing.
            self._socketio.sleep(0)
            raise TooMany("You send too many events; wait a little.")
        return seat

    # -- what clients send -------------------------------------------------------------------------------------------

    def message(self, seat: Seat, data: object) -> Ack:
        """`{message_string, content, agent_id?, client_message_id?}`: say something."""
        sent = _object(data)
        posted = actions.post(
            seat.chat_id,
            seat.user_id,
            message_string=sent.get("message_string"),
            content=sent.get("content"),
            agent_id=sent.get("agent_id"),
            client_message_id=sent.get("client_message_id"),
            settings=self._settings,
        )
        return {"message_id": str(posted.message_id), "run_id": str(posted.run_id), "seq": posted.seq}

    def chat_message(self, seat: Seat, data: object) -> Ack:
        """`{message, chat_id, message_string}`, an object or a JSON string, as older clients say something; answered by `feedback`."""
        sent = _object(_parsed(data))
        if sent.get("chat_id") not in (None, str(seat.chat_id)):
            raise Invalid("chat_id: this socket belongs to another chat")
        ack = self.message(seat, {"message_string": sent.get("message_string"), "content": sent.get("message")})
        feedback = {"type": "message_received", "message": sent.get("message"), "chat_id": str(seat.chat_id)}
        seat.wire.send(encoded("feedback", orjson.dumps(feedback).decode(), namespace=NAMESPACE))
        return ack

    def resume(self, seat: Seat, data: object) -> Ack:
        """`{since}`: send everything after that number again, then what happens from there on."""
        since = _number(_object(data).get("since"))
        if since is None:
            raise Invalid("since: a number is required")
        last = last_number(stream_of(seat.chat_id))
        self._socketio.start_background_task(self._resume, seat, since, last)
        return {"last_seq": last}

    def _resume(self, seat: Seat, since: int, last: int) -> None:
        with self._app.app_context():
            self.rooms.join(seat, since=since, last=last)

    def answer(self, seat: Seat, data: object) -> Ack:
        """`{run_id, value, interrupt_id?}`: answer what an agent asked."""
        sent = _object(data)
        if "value" not in sent:
            raise Invalid("value: an answer is required")
        run = actions.answer(seat.chat_id, sent.get("run_id"), sent["value"], interrupt_id=sent.get("interrupt_id"))
        return {"run_id": str(run.id)}

    def cancel(self, seat: Seat, data: object) -> Ack:
        """`{run_id}`: stop an agent."""
        run = actions.cancel(seat.chat_id, _object(data).get("run_id"))
        return {"run_id": str(run.id), "status": run.status}

    def typing(self, seat: Seat, _: object) -> Ack:
        """Let the others of the chat know that somebody types."""
        if time.monotonic() - seat.typed_at >= TYPING_S:
            seat.typed_at = time.monotonic()
            control.tell("chats.typing", chat_id=str(seat.chat_id), user_id=str(seat.user_id))
        return {}


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]


def _object(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Invalid("An object is required.")
    return data


def _parsed(data: object) -> object:
    if not isinstance(data, str):
        return data
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Invalid("The text is no JSON object.") from None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
