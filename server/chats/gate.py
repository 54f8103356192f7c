"""The Socket.IO door of the chats, namespace `/chat`.

A socket differs from a request: who is on it is settled once, when it opens, and looked at again every few seconds while it is open
(`_check_seats`), and at once when a notice says that a sign-in, a membership or a chat has ended. A handler's answer is its
acknowledgement: `{"ok": true, …}` or `{"ok": false, "error": {"code", "message"}}`; nothing that a client sends may raise out of it.
"""

from __future__ import annotations

import functools
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from flask import Flask, request
from flask_socketio import ConnectionRefusedError, SocketIO
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.accounts.who import still_valid
from server.chats import actions
from server.chats.access import still_open
from server.chats.models import Connection
from server.chats.rooms import NAMESPACE, Rooms, Seat
from server.kit.clock import iso
from server.kit.db import db, rollback
from server.kit.errors import Invalid, Refusal, Unauthenticated
from server.realtime import control
from server.realtime.log import LogTrimmed
from server.settings import Settings

__all__ = ["install"]

log = logging.getLogger(__name__)

CHECK_S = 10.0  # how often open sockets are checked against what they were opened with
TYPING_S = 1.0  # at most one `typing` of a socket in this time is passed on
Ack = dict[str, Any]


def install(app: Flask, settings: Settings) -> SocketIO:
    """Open the door on the app; its sockets hear the notices from the first connection on."""
    socketio = SocketIO(
        app,
        async_mode=settings.async_mode,
        # None is the server's own origin; an empty list would let everybody in.
        cors_allowed_origins=list(settings.cors_origins) or None,
        max_http_buffer_size=settings.max_message_chars * 4 + 10_000,
        ping_interval=20,
        ping_timeout=20,
        logger=False,
        engineio_logger=False,
    )
    gate = Gate(app, socketio, settings)
    app.extensions["chat_gate"] = gate
    handlers: dict[str, Callable[..., Any]] = {
        "connect": gate.connect,
        "disconnect": gate.disconnect,
        "message": acknowledged(gate.message),
        "chat_message": acknowledged(gate.chat_message),
        "resume": acknowledged(gate.resume),
        "answer": acknowledged(gate.answer),
        "cancel": acknowledged(gate.cancel),
        "typing": acknowledged(gate.typing),
    }
    for name, handler in handlers.items():
        socketio.on_event(name, handler, namespace=NAMESPACE)
    return socketio


def acknowledged(handler: Callable[..., Ack]) -> Callable[..., Ack]:
    """A handler whose every outcome is an acknowledgement."""

    @functools.wraps(handler)
    def with_ack(data: object = None, *_: object) -> Ack:
        try:
            return {"ok": True, **handler(data)}
        except Refusal as refusal:
            rollback()
            return _refused(refusal.code, refusal.message)
        except (DBAPIError, PoolTimeout, RedisError) as error:
            rollback()
            log.error("socket.store_is_away", extra={"facts": {"kind": type(error).__name__}})
            return _refused("unavailable", "The server cannot do this at the moment; try again.")
        except Exception:
            rollback()
            log.exception("socket.bug")
            return _refused("internal", "Internal server error")

    return with_ack


def _refused(code: str, message: str) -> Ack:
    return {"ok": False, "error": {"code": code, "message": message}}


class Gate:
    """The handlers of one process's sockets."""

    def __init__(self, app: Flask, socketio: SocketIO, settings: Settings) -> None:
        self._app = app
        self._socketio = socketio
        self._settings = settings
        self._is_listening = False
        self._typed_at: dict[str, float] = {}
        self.rooms = Rooms(app, socketio, max_backlog=settings.socket_queue)

    # -- opening and closing -----------------------------------------------------------------------------------------

    def connect(self, auth: object = None) -> None:
        """Let a socket in by what it shows, or refuse it with `expired`, `invalid`, `replayed` or `revoked`."""
        self._listen()
        shown = auth if isinstance(auth, dict) else {}
        try:
            connection, is_old = self._connection(shown)
        except Unauthenticated as refusal:
            raise ConnectionRefusedError(refusal.code) from None
        except Refusal as refusal:
            raise ConnectionRefusedError(refusal.code) from None
        except (DBAPIError, PoolTimeout, RedisError):
            raise ConnectionRefusedError("unavailable") from None
        seat = Seat(_sid(), connection.chat_id, connection.user_id, connection.credential, is_old)
        self.rooms.enter(seat)
        self._socketio.start_background_task(self._seat, seat, connection, _number(shown.get("since")))

    def _connection(self, shown: dict[str, Any]) -> tuple[Connection, bool]:
        if "resume_token" in shown:
            return actions.open_by_token(shown["resume_token"], self._settings, chat_id=str(shown.get("chat_id"))), False
        if "connection_string" in shown:
            return actions.open_by_string(shown["connection_string"], self._settings), False
        query = request.args
        return actions.open_by_string(query.get("connection_string"), self._settings, chat_id=query.get("chat_id")), True

    def _seat(self, seat: Seat, connection: Connection, since: int | None) -> None:
        """Tell a socket its resume token, then bring it up to now."""
        with self._app.app_context():
            if not seat.is_old:
                self._socketio.server.emit("session", self._session(seat, connection), to=seat.sid, namespace=NAMESPACE)
            try:
                self.rooms.join(seat, since=since)
            except LogTrimmed as trimmed:
                self._say_trimmed(seat, trimmed)
            except (DBAPIError, PoolTimeout):
                self.rooms.close(seat, "unavailable", "The server cannot do this at the moment; try again.")

    def _session(self, seat: Seat, connection: Connection) -> dict[str, Any]:
        from server.chats.models import stream_of
        from server.realtime.log import last_number

        token = actions.rotate(connection, self._settings)
        return {
            "chat_id": str(seat.chat_id),
            "user_id": str(seat.user_id),
            "resume_token": token.text,
            "expires_at": iso(token.expires_at),
            "last_seq": last_number(stream_of(seat.chat_id)),
        }

    def _say_trimmed(self, seat: Seat, trimmed: LogTrimmed) -> None:
        facts = {"chat_id": str(seat.chat_id), "code": trimmed.code, "message": trimmed.message, "retryable": False}
        self._socketio.server.emit("error", facts, to=seat.sid, namespace=NAMESPACE)

    def disconnect(self, *_: object) -> None:
        """Forget a socket that is gone."""
        self._typed_at.pop(_sid(), None)
        self.rooms.leave(_sid())

    # -- what clients send -------------------------------------------------------------------------------------------

    def message(self, data: object) -> Ack:
        """`{message_string, content, agent_id?, client_message_id?}`: say something."""
        seat, sent = self._known(), _object(data)
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

    def chat_message(self, data: object) -> Ack:
        """`{message, chat_id, message_string}`, an object or a JSON string, as older clients say something; answered by `feedback`."""
        seat, sent = self._known(), _object(_parsed(data))
        if str(sent.get("chat_id", seat.chat_id)) != str(seat.chat_id):
            raise Invalid("chat_id: this socket belongs to another chat")
        posted = actions.post(
            seat.chat_id,
            seat.user_id,
            message_string=sent.get("message_string"),
            content=sent.get("message"),
            settings=self._settings,
        )
        feedback = {"type": "message_received", "message": sent.get("message"), "chat_id": str(seat.chat_id)}
        self._socketio.server.emit("feedback", orjson.dumps(feedback).decode(), to=seat.sid, namespace=NAMESPACE)
        return {"message_id": str(posted.message_id), "run_id": str(posted.run_id), "seq": posted.seq}

    def resume(self, data: object) -> Ack:
        """`{since}`: send everything after that number again."""
        seat, since = self._known(), _number(_object(data).get("since"))
        if since is None:
            raise Invalid("since: a number is required")
        return {"last_seq": self.rooms.join(seat, since=since)}

    def answer(self, data: object) -> Ack:
        """`{run_id, value, interrupt_id?}`: answer what an agent asked."""
        seat, sent = self._known(), _object(data)
        if "value" not in sent:
            raise Invalid("value: an answer is required")
        interrupt_id = sent.get("interrupt_id")
        run = actions.answer(
            seat.chat_id, sent.get("run_id"), sent["value"], interrupt_id=str(interrupt_id) if interrupt_id is not None else None
        )
        return {"run_id": str(run.id)}

    def cancel(self, data: object) -> Ack:
        """`{run_id}`: stop an agent."""
        run = actions.cancel(self._known().chat_id, _object(data).get("run_id"))
        return {"run_id": str(run.id), "status": run.status}

    def typing(self, _: object) -> Ack:
        """Let the others of the chat know that somebody types."""
        seat = self._known()
        if time.monotonic() - self._typed_at.get(seat.sid, float("-inf")) >= TYPING_S:
            self._typed_at[seat.sid] = time.monotonic()
            control.tell("chats.typing", chat_id=str(seat.chat_id), user_id=str(seat.user_id))
        return {}

    def _known(self) -> Seat:
        seat = self.rooms.seats.get(_sid())
        if seat is None:
            raise actions.Revoked
        return seat

    # -- what ends a socket ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """With the first socket, begin to hear the notices and to look after those that are open."""
        if self._is_listening:
            return
        self._is_listening = True
        for kind, handler in {
            "accounts.login_ended": self._credential_ended,
            "accounts.key_ended": self._credential_ended,
            "accounts.user_deleted": self._user_deleted,
            "workspaces.member_removed": self._check_soon,
            "workspaces.deleted": self._check_soon,
            "chats.deleted": self._chat_deleted,
            "chats.typing": self._somebody_types,
        }.items():
            control.on(kind, handler)
        control.listen()
        self._socketio.start_background_task(self._check_forever)

    def _credential_ended(self, login_id: str | None = None, key_id: str | None = None, **_: object) -> None:
        ended = f"login:{login_id}" if login_id else f"key:{key_id}"
        self._close(lambda seat: seat.credential == ended, "signed_out", "The sign-in has ended.")

    def _user_deleted(self, user_id: str, **_: object) -> None:
        self._close(lambda seat: str(seat.user_id) == user_id, "signed_out", "The account was deleted.")

    def _chat_deleted(self, chat_id: str, **_: object) -> None:
        self._close(lambda seat: str(seat.chat_id) == chat_id, "chat_deleted", "The chat was deleted.")

    def _somebody_types(self, chat_id: str, user_id: str) -> None:
        self.rooms.tell(uuid.UUID(chat_id), "typing", {"user_id": user_id})

    def _check_soon(self, **_: object) -> None:
        self._socketio.start_background_task(self._check_seats)

    def _close(self, is_meant: Callable[[Seat], bool], code: str, message: str) -> None:
        for seat in list(self.rooms.seats.values()):
            if is_meant(seat):
                self.rooms.close(seat, code, message)

    def _check_forever(self) -> None:
        while True:
            self._socketio.sleep(CHECK_S)
            try:
                self._check_seats()
            except Exception as error:
                log.warning("chat.check_failed", extra={"facts": {"kind": type(error).__name__}})

    def _check_seats(self) -> None:
        """Close the sockets whose sign-in has ended or whose user may no longer talk in the chat: two queries for all."""
        seats = list(self.rooms.seats.values())
        if not seats:
            return
        with self._app.app_context():
            ended = still_valid({seat.credential for seat in seats})
            open_pairs = still_open({(seat.chat_id, seat.user_id) for seat in seats})
            db.session.rollback()
        self._close(lambda seat: seat in seats and seat.credential in ended, "signed_out", "The sign-in has ended.")
        is_shut = {(seat.chat_id, seat.user_id) for seat in seats} - open_pairs
        self._close(lambda seat: (seat.chat_id, seat.user_id) in is_shut, "access_ended", "You no longer have access to the chat.")


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
