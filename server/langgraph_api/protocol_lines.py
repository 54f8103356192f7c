"""Looks after the open lines of the thread protocol in this process: one whose credential has ended, or whose thread is gone, is ended.

Notices of sign-ins and keys that have ended are heard at once; every few seconds all lines are checked besides, by two queries.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from server.accounts.who import ended_among
from server.kit.errors import Refusal, Unauthenticated
from server.realtime import control
from server.runs.threads import reads
from server.runs.threads.actions import ThreadNotFound

__all__ = ["Line", "Lines", "lines"]

log = logging.getLogger(__name__)

CHECK_S = 10.0
KEY = "thread-protocol"

SIGNED_OUT = "The sign-in has ended."


@dataclass(eq=False)
class Line:
    """An open stream or socket. thread_id: None while there is no thread yet; end: called at most once, from another thread."""

    credential: str
    user_id: uuid.UUID
    end: Callable[[Refusal], object]
    thread_id: uuid.UUID | None = None


class Lines:
    """The open lines of a process."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._open: set[Line] = set()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, line: Line) -> Iterator[Line]:
        """Look after a line as long as the block lasts."""
        with self._lock:
            self._open.add(line)
            if self._watcher is None:
                self._begin()
        try:
            yield line
        finally:
            with self._lock:
                self._open.discard(line)

    def _begin(self) -> None:
        control.on("accounts.login_ended", lambda login_id, **_: self._end_if(lambda line: line.credential == f"login:{login_id}"))
        control.on("accounts.key_ended", lambda key_id, **_: self._end_if(lambda line: line.credential == f"key:{key_id}"))
        control.on("accounts.user_deleted", lambda user_id, **_: self._end_if(lambda line: str(line.user_id) == user_id))
        control.listen()
        self._watcher = threading.Thread(target=self._check_forever, name="protocol-lines", daemon=True)
        self._watcher.start()

    def _end_if(self, is_meant: Callable[[Line], bool]) -> None:
        for line in self._held():
            if is_meant(line):
                self._end(line, Unauthenticated(SIGNED_OUT))

    def _held(self) -> list[Line]:
        with self._lock:
            return list(self._open)

    def _check_forever(self) -> None:
        while True:
            time.sleep(CHECK_S)
            with self._app.app_context():
                try:
                    self.check()
                except SQLAlchemyError as error:
                    log.warning("protocol.check_failed", extra={"facts": {"kind": type(error).__name__}})

    def check(self) -> None:
        """End the lines that may stay no longer."""
        held = self._held()
        if not held:
            return
        ended = ended_among({line.credential for line in held})
        there = reads.still_there({line.thread_id for line in held if line.thread_id is not None})
        for line in held:
            if line.credential in ended:
                self._end(line, Unauthenticated(SIGNED_OUT))
            elif line.thread_id is not None and line.thread_id not in there:
                self._end(line, ThreadNotFound())

    def _end(self, line: Line, why: Refusal) -> None:
        with self._lock:
            if line not in self._open:
                return
            self._open.discard(line)
        try:
            line.end(why)
        except Exception:
            log.exception("protocol.end_failed")


def lines() -> Lines:
    """Those of this process's app."""
    kept: Lines = current_app.extensions.setdefault(KEY, Lines(current_app._get_current_object()))  # type: ignore[attr-defined]
    return kept
