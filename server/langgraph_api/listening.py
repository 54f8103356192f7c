"""Listening to runs: what a stream sends, and what somebody who waits gets. The run goes on whoever listens."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterator
from itertools import chain

import orjson
from flask import Response, current_app, stream_with_context

from server.kit import sse
from server.kit.clock import new_id
from server.kit.db import commit, release
from server.langgraph_api.rendering import ending_of, event_id, is_last, told
from server.realtime.events import Event, of_run, of_stream
from server.realtime.log import LogTrimmed, read
from server.realtime.tail import Follower, Ping, follow, tail
from server.runs import actions as runs
from server.runs import programs
from server.runs.models import Run
from server.runs.programs import CursorUnknown

__all__ = ["answer_of", "await_end", "await_gone", "started", "stream_of_run", "stream_of_thread", "words"]

HEARTBEAT_S = 5.0
# What everybody hears, whatever modes they ask for: how the run ended.
ALWAYS = ("error", "end")
# How often somebody who hangs up is looked for, where that stops the run.
LOOK_S = 0.5
# How long somebody who stops a run waits for its end; an agent that does not hear it is given up on before.
STOP_S = 20.0
GONE_S = 10.0
KEEP_OPEN = b"\n"


def words() -> str:
    """The family of words in force for the states of runs."""
    return str(current_app.config["SETTINGS"].run_status_words)


def started(start: Callable[[uuid.UUID], Run]) -> tuple[Run, Follower | None]:
    """The run that `start` makes under the id that it is given, and who hears it from its first event on.

    Who listens before there is anything to hear need not look for what was said before. None for a run that was there already.
    """
    run_id = new_id()
    follower = Follower(of_run(run_id))
    tail.add(follower)
    try:
        run = start(run_id)
    except BaseException:
        tail.remove(follower)
        raise
    if run.id == run_id:
        return run, follower
    tail.remove(follower)
    release()
    return run, None


# -- streams -----------------------------------------------------------------------------------------------------------


def stream_of_run(
    run: Run, *, after: int, place: str, modes: Collection[str] = (), cancels: bool = False, follower: Follower | None = None
) -> Response:
    """The answer that sends the run's events after a number, in order, each once, until its last.

    modes: only events of these; empty for all. cancels: the run is stopped when this reader leaves.
    Raises CursorUnknown when the events after that number are no longer kept.
    """
    if follower is None:
        _refuse_trimmed(run, after)
    batches = follow(of_run(run.id), after=after, heartbeat_s=_look_s(cancels=cancels), follower=follower, is_new=follower is not None)
    pieces = _frames(run, after, frozenset(modes), batches)
    frames = _until_left(pieces, sse.HEARTBEAT, run.id if cancels else None)
    # Who comes later may have to wait for the next event, and is to know at once that the line stands.
    opening = (sse.HEARTBEAT,) if follower is None and not run.is_over else ()
    return sse.response(stream_with_context(chain(opening, frames)), Location=f"{place}/stream", Content_Location=place)


def _refuse_trimmed(run: Run, after: int) -> None:
    try:
        read(of_run(run.id), after=after, limit=1)
    except LogTrimmed:
        raise CursorUnknown from None


def _look_s(*, cancels: bool) -> float:
    return LOOK_S if cancels else HEARTBEAT_S


def _frames(run: Run, after: int, modes: frozenset[str], batches: Iterator[list[Event] | Ping]) -> Iterator[bytes]:
    """Frames as they come, and an empty piece whenever nothing came for so long."""
    if run.is_over and after >= run.last_event:
        return
    chosen = words()
    for batch in batches:
        if isinstance(batch, Ping):
            yield b""
            continue
        sent = []
        for event in batch:
            shown = told(event, chosen)
            if shown is not None and (not modes or _mode_of(shown[0]) in modes or shown[0] in ALWAYS):
                sent.append(sse.frame(*shown, number=event_id(run.id, event.run_seq or 0)))
        if sent:
            yield b"".join(sent)
        if is_last(batch[-1]):
            return


def _mode_of(name: str) -> str:
    """The mode that an event belongs to, whatever subgraph it is of."""
    base = name.partition("|")[0]
    return "messages" if base.startswith("messages/") else base


def stream_of_thread(stream: str, *, after: int, kinds: Collection[str]) -> Response:
    """The answer that sends the events of all runs of a thread after a number, for as long as the reader stays."""
    frames = _until_left(_thread_frames(stream, after, frozenset(kinds)), sse.HEARTBEAT, None)
    return sse.response(stream_with_context(chain((sse.HEARTBEAT,), frames)))


def _thread_frames(stream: str, after: int, kinds: frozenset[str]) -> Iterator[bytes]:
    chosen = words()
    for batch in follow(of_stream(stream), after=after, heartbeat_s=HEARTBEAT_S):
        if isinstance(batch, Ping):
            yield b""
            continue
        for event in batch:
            shown = _told_of_thread(event, chosen)
            if shown is not None and ("run_modes" in kinds or event.type in ("run", "error")):
                yield sse.frame(*shown, number=str(event.seq))


def _told_of_thread(event: Event, chosen: str) -> tuple[str, bytes] | None:
    """An event as those who follow a whole thread get it: the end of a run is none of the stream."""
    if is_last(event):
        return "metadata", orjson.dumps({"status": "run_done", "run_id": event.run_id})
    return told(event, chosen)


# -- waiting -----------------------------------------------------------------------------------------------------------


def answer_of(run: Run, *, place: str, cancels: bool = False, follower: Follower | None = None) -> Response:
    """The answer that comes when the run has ended: what it left. Until then line breaks keep the connection open."""
    look_s = _look_s(cancels=cancels)
    batches = follow(of_run(run.id), after=run.last_event, heartbeat_s=look_s, follower=follower, is_new=follower is not None)
    pieces = _until_left(_ending(run, batches), KEEP_OPEN, run.id if cancels else None)
    headers = {"Location": f"{place}/join", "Content-Location": place}
    first = next(pieces, b"")
    if first != KEEP_OPEN:
        pieces.close()
        return Response(first, content_type="application/json", headers=headers)
    rest = stream_with_context(chain((first,), pieces))
    return Response(rest, content_type="application/json", headers=headers, direct_passthrough=True)


def _ending(run: Run, batches: Iterator[list[Event] | Ping]) -> Iterator[bytes]:
    if not run.is_over:
        for batch in batches:
            if isinstance(batch, Ping):
                yield b""
            elif is_last(batch[-1]):
                break
    yield orjson.dumps(ending_of(programs.ended(run.id) or run))


def await_end(run: Run, *, within_s: float = STOP_S) -> None:
    """Return when the run has ended, or after so long."""
    release()
    deadline = time.monotonic() + within_s
    for batch in follow(of_run(run.id), after=run.last_event, heartbeat_s=LOOK_S):
        if time.monotonic() > deadline or (not isinstance(batch, Ping) and is_last(batch[-1])):
            return


def await_gone(run_id: uuid.UUID) -> None:
    """Return when a run that is taken back is gone, or after a while."""
    deadline = time.monotonic() + GONE_S
    while programs.ended(run_id) is not None and time.monotonic() < deadline:
        time.sleep(0.05)


# -- readers that leave ------------------------------------------------------------------------------------------------


def _until_left(pieces: Iterator[bytes], heartbeat: bytes, cancelled_id: uuid.UUID | None) -> Generator[bytes]:
    """The pieces, and a heartbeat when there are none for long; ends when the reader is gone.

    cancelled_id: the run that is stopped when the reader leaves before the last piece.
    """
    probe = sse.is_gone()
    sent_at = time.monotonic()
    is_done = False
    try:
        for piece in pieces:
            if piece or time.monotonic() - sent_at >= HEARTBEAT_S:
                yield piece or heartbeat
                sent_at = time.monotonic()
            if not piece and probe():
                return
        is_done = True
    finally:
        if cancelled_id is not None and not is_done:
            runs.cancel(cancelled_id, code="disconnected")
            commit()
