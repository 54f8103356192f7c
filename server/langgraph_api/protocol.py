"""The thread protocol: commands to a thread, and its events over server-sent events or a WebSocket.

A browser has few connections to a server: the client opens two streams a tab, one for all that is shown and one for beginnings, ends
and questions, and widens the first where it needs more. Nothing here needs a third.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Response, current_app, request, stream_with_context

from server.accounts.who import credential, me, use_ticket
from server.agents import catalogue
from server.kit import sse, websocket
from server.kit.db import rollback
from server.kit.errors import Refusal, Unauthenticated
from server.kit.http import body, describe, sent
from server.kit.websocket import WebSocket
from server.langgraph_api import who
from server.langgraph_api.dialect import answers, new_door
from server.langgraph_api.protocol_commands import Commands, Wrong, filter_of, is_command, since_of
from server.langgraph_api.protocol_events import CHANNELS, Filter, Frame, channel_is_known
from server.langgraph_api.protocol_lines import Line, lines
from server.langgraph_api.protocol_reading import HEARTBEAT_S, Reader, thread_when_made
from server.langgraph_api.protocol_schemas import Answered, Command, Listening
from server.langgraph_api.protocol_socket import Conversation
from server.langgraph_api.runs_schemas import Events
from server.langgraph_api.who import allowed
from server.runs.threads import actions as threads
from server.runs.threads.models import named

__all__ = ["door"]

door = new_door("protocol")

Fields = dict[str, Any]


@door.post("/threads/<thread_id>/commands")
@allowed("threads", "create_run")
def command(thread_id: str) -> Response:
    """Carry out a command of the thread protocol: `run.start`, `input.respond`, `agent.getTree`, `subscription.*`.

    The answer has the command's id: `{"type": "success", "result"}` or `{"type": "error", "error", "message"}`, both with 200; a thread
    that is not there is made by its first run. Refused: 400 for what is no command, 429 and 503 while nothing is accepted.
    """
    said = _sent()
    answer = Commands(me().id, _checked(thread_id)).answer(said)
    return Response(orjson.dumps(answer), status=200 if is_command(said) else 400, content_type="application/json")


describe(command, body=Command, answer=Answered)


def _checked(name: str) -> str:
    if threads.NAME.fullmatch(name) is None:
        raise threads.NotAName
    return name


def _sent() -> Any:
    data = sent()
    if b"\\u0000" in data:
        raise Refusal("The body holds a NUL character.")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Refusal("Invalid JSON body") from None


# -- server-sent events --------------------------------------------------------------------------------------------------


@door.post("/threads/<thread_id>/stream/events")
@allowed("threads", "read")
@body(Listening)
@answers(Events)
def listen(fields: Fields, thread_id: str) -> Response:
    """Follow a thread's events (SSE): those of the channels and namespaces that are asked for, after `since`, for as long as you stay.

    The thread may be made later. Refused: 400, 404, 410 `since_unknown` when the events after `since` are not kept any more.
    """
    wanted, since = _wanted(fields)
    owner_id = me().id
    thread = named(owner_id, _checked(thread_id))
    if thread is not None and not who.passes(thread.about):
        raise threads.ThreadNotFound
    reader = None if thread is None else Reader(thread.id)
    if reader is not None:
        reader.begin(since)
    stream = EventStream(thread_id, wanted, reader)
    rollback()
    return sse.response(stream_with_context(stream.frames()))


def _wanted(fields: Fields) -> tuple[Filter, int | None]:
    channels = fields.get("channels")
    if not isinstance(channels, list) or not channels:
        raise Refusal("channels is required and must be a non-empty array")
    unknown = [str(each) for each in channels if not channel_is_known(each)]
    if unknown:
        allowed_ones = f"{', '.join(CHANNELS)}, or any `custom:<name>`"
        raise Refusal(f"channels contains unsupported entries: {', '.join(unknown)}. Allowed: {allowed_ones}.")
    try:
        return filter_of(fields, "stream/events"), since_of(fields)
    except Wrong as wrong:
        raise Refusal(wrong.message, code=wrong.code) from None


class EventStream:
    """What one reader is sent: made in the request, sent after it."""

    def __init__(self, name: str, wanted: Filter, reader: Reader | None) -> None:
        self._owner_id = me().id
        self._name = name
        self._wanted = wanted
        self._reader = reader
        self._ended: Refusal | None = None
        self._is_gone = sse.is_gone()
        self._lines = lines()
        self._line = Line(credential(), self._owner_id, self._end)

    def frames(self) -> Iterator[bytes]:
        """The frames, and heartbeats; the first comes at once, so that the reader knows that it is heard."""
        yield sse.HEARTBEAT
        try:
            with self._lines.watching(self._line):
                yield from self._until_made()
                if self._reader is not None:
                    yield from self._said(self._reader)
        except Refusal as refusal:  # what comes next is no longer kept
            self._ended = refusal
        if self._ended is not None:
            yield sse.frame("error", _last_words(self._ended))

    def _until_made(self) -> Iterator[bytes]:
        if self._reader is not None:
            return
        for thread_id in thread_when_made(self._owner_id, self._name, lambda: self._ended is not None):
            if thread_id is not None:
                self._reader = Reader(thread_id)
            elif self._is_gone():
                return
            else:
                yield sse.HEARTBEAT

    def _said(self, reader: Reader) -> Iterator[bytes]:
        self._line.thread_id = reader.thread_id
        if self._ended is not None:
            return
        sent_at = time.monotonic()
        for _, batch in reader.live():
            told = [_framed(frame) for frame in batch if self._wanted.wants(frame)]
            # Where much is said that this reader does not want, the line is kept open all the same.
            is_due = not batch or time.monotonic() - sent_at >= HEARTBEAT_S
            if not told and is_due and self._is_gone():
                return
            if told or is_due:
                yield b"".join(told) or sse.HEARTBEAT
                sent_at = time.monotonic()

    def _end(self, why: Refusal) -> None:
        self._ended = why
        if self._reader is not None:
            self._reader.follower.close()


def _framed(frame: Frame) -> bytes:
    return sse.frame(frame.method, frame.text, number=str(frame.seq))


def _last_words(why: Refusal) -> bytes:
    """The word of the protocol just before a stream is ended that the server cannot go on with."""
    code = "permission_denied" if why.status in (401, 403) else "unknown_error"
    return orjson.dumps({"type": "error", "id": None, "error": code, "message": why.message})


# -- WebSocket -----------------------------------------------------------------------------------------------------------


@door.get("/threads/<thread_id>/stream/events", websocket=True)
def converse(thread_id: str) -> Response:
    """Talk about a thread over a WebSocket: commands in, their answers and the subscribed events out, all as JSON text.

    A browser shows a ticket of `POST /ws/ticket` as `?ticket=`. Closed with 4401 when the sign-in has ended, 4404 when the thread is gone,
    4408 for a client that reads too slowly.
    """
    return websocket.talk(lambda socket: _converse(socket, thread_id))


describe(converse, needs_sign_in=True)


def _converse(socket: WebSocket, thread_id: str) -> None:
    _let_in(thread_id)
    owner_id = me().id
    thread = named(owner_id, _checked(thread_id))
    if thread is not None and not who.passes(thread.about):
        raise threads.ThreadNotFound
    rollback()
    line = Line(credential(), owner_id, lambda why: socket.close(why.close_code, why.message), thread.id if thread else None)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    with lines().watching(line):
        Conversation(app, socket, owner_id, thread_id, line).run()


def _let_in(thread_id: str) -> None:
    """Let only those in who show who they are: with a ticket, or as on any route. A talk may start runs."""
    ticket = request.args.get("ticket")
    if ticket is None:
        allowed("threads", "create_run")(_welcome)(thread_id=thread_id)
    elif catalogue.config().auth_path is not None:
        raise Unauthenticated("Who somebody is, this server's own handlers decide here; tickets do not count.")
    else:
        use_ticket(ticket, request.path)


def _welcome(thread_id: str) -> None:
    """Whoever comes here has been let in."""
