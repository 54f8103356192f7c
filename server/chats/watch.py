"""What ends a socket from outside: a sign-in, an API key, a membership, a chat or an account that has ended.

A notice closes the sockets it means at once; every few seconds all are checked against the database besides, because a notice may be lost.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from flask import Flask
from flask_socketio import SocketIO

from server.accounts.who import ended_among
from server.chats import connections
from server.chats.access import still_open
from server.chats.rooms import NAMESPACE, STORE_IS_AWAY, Rooms, Seat
from server.kit.sockets import strangers
from server.realtime import control

__all__ = ["Watch"]

log = logging.getLogger(__name__)

CHECK_S = 10.0  # how often open sockets are checked against what they were opened with

SIGNED_OUT = ("signed_out", "The sign-in has ended.")
USER_DELETED = ("signed_out", "The account was deleted.")
CHAT_DELETED = ("chat_deleted", "The chat was deleted.")
ACCESS_ENDED = ("access_ended", "You no longer have access to the chat.")


class Watch:
    """Looks after the sockets of one process."""

    def __init__(self, app: Flask, socketio: SocketIO, rooms: Rooms) -> None:
        self._app = app
        self._socketio = socketio
        self._rooms = rooms
        self._is_begun = False
        self._silent: set[str] = set()

    def begin(self) -> None:
        """Hear the notices and check from now on; nothing happens the second time."""
        if self._is_begun:
            return
        self._is_begun = True
        handlers: dict[str, Callable[..., None]] = {
            "accounts.login_ended": self._login_ended,
            "accounts.key_ended": self._key_ended,
            "accounts.user_deleted": self._user_deleted,
            "workspaces.member_changed": self._check_soon,
            "workspaces.member_removed": self._check_soon,
            "workspaces.deleted": self._check_soon,
            "chats.deleted": self._chat_deleted,
            "chats.typing": self._somebody_types,
        }
        for kind, handler in handlers.items():
            control.on(kind, handler)
        control.listen()
        self._socketio.start_background_task(self._check_forever)

    # -- notices -----------------------------------------------------------------------------------------------------

    def _login_ended(self, login_id: str, **_: object) -> None:
        self._close(lambda seat: seat.credential == f"login:{login_id}", SIGNED_OUT)

    def _key_ended(self, key_id: str, **_: object) -> None:
        self._close(lambda seat: seat.credential == f"key:{key_id}", SIGNED_OUT)

    def _user_deleted(self, user_id: str, **_: object) -> None:
        self._close(lambda seat: str(seat.user_id) == user_id, USER_DELETED)

    def _chat_deleted(self, chat_id: str, **_: object) -> None:
        self._close(lambda seat: str(seat.chat_id) == chat_id, CHAT_DELETED)

    def _somebody_types(self, chat_id: str, user_id: str) -> None:
        self._rooms.tell(uuid.UUID(chat_id), "typing", {"user_id": user_id})

    def _check_soon(self, **_: object) -> None:
        self._socketio.start_background_task(self._check)

    # -- the check ---------------------------------------------------------------------------------------------------

    def _check_forever(self) -> None:
        while True:
            self._socketio.sleep(CHECK_S)
            self._check()
            self.close_silent()
            self._forget_lapsed()

    def _check(self) -> None:
        """Close the sockets whose sign-in has ended or whose user may no longer talk in the chat: two queries for all."""
        seats = list(self._rooms.seats.values())
        if not seats:
            return
        try:
            with self._app.app_context():
                ended = ended_among({seat.credential for seat in seats})
                still = still_open({(seat.chat_id, seat.user_id) for seat in seats})
        except STORE_IS_AWAY as error:
            log.warning("chat.check_failed", extra={"facts": {"kind": type(error).__name__}})
            return
        for seat in seats:
            if seat.wire.is_gone:
                self._rooms.leave(seat.sid)
            elif seat.credential in ended:
                self._rooms.close(seat, *SIGNED_OUT)
            elif (seat.chat_id, seat.user_id) not in still:
                self._rooms.close(seat, *ACCESS_ENDED)

    def close_silent(self) -> None:
        """Close transports that have not asked for a chat between two checks: they show no credential, and so may not stay."""
        silent = strangers(self._socketio, NAMESPACE)
        for transport_id in self._silent & set(silent):
            silent[transport_id].close(wait=False)
        self._silent = set(silent)

    def _forget_lapsed(self) -> None:
        try:
            with self._app.app_context():
                connections.forget_lapsed()
        except STORE_IS_AWAY as error:
            log.warning("chat.forgetting_failed", extra={"facts": {"kind": type(error).__name__}})

    def _close(self, is_meant: Callable[[Seat], bool], why: tuple[str, str]) -> None:
        for seat in list(self._rooms.seats.values()):
            if is_meant(seat):
                self._rooms.close(seat, *why)
