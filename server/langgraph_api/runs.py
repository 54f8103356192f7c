"""The runs of the dialect: start, follow, wait, look up, stop; on a thread, or on one that goes with the run."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from flask import Response, request

from server.accounts.who import me
from server.kit.db import one_by_one, release
from server.kit.errors import Invalid, MissingJson
from server.kit.http import body, query, validated
from server.langgraph_api import who
from server.langgraph_api.assistants_schemas import Nothing
from server.langgraph_api.dialect import answers, asked_list, new_door, uuid_or_refuse
from server.langgraph_api.listening import answer_of, await_end, await_gone, started, stream_of_run, stream_of_thread, words
from server.langgraph_api.rendering import number_after, run_shown, statuses
from server.langgraph_api.runs_schemas import (
    MODES,
    CancelMany,
    CancelQuery,
    Events,
    JoinQuery,
    Left,
    NewRun,
    NewThreadRun,
    RunShape,
    RunsQuery,
    Stopped,
    StreamQuery,
)
from server.langgraph_api.starting import checked, start_run
from server.langgraph_api.who import allowed
from server.realtime.log import last_number
from server.runs import programs
from server.runs.models import Run
from server.runs.threads import actions as threads
from server.runs.threads.models import Thread, stream_of

__all__ = ["door"]

door = new_door("runs")

Fields = dict[str, Any]
MAX_BATCH = 100
SHOWN = ("run_id", "thread_id", "assistant_id", "status", "created_at", "updated_at", "metadata", "kwargs", "multitask_strategy")
THREAD_MODES = ("run_modes", "lifecycle", "state_update")


# What starts runs writes once, and what looks things up reads: neither needs a transaction of several statements.
STARTS = {f"runs.{name}" for name in ("create_run", "stream_new_run", "wait_for_new_run")}
STARTS |= {f"runs.{name}_stateless_run" for name in ("create", "stream", "wait_for")}


@door.before_request
def _save_round_trips() -> None:
    if request.method == "GET" or request.endpoint in STARTS:
        one_by_one()


# -- start -------------------------------------------------------------------------------------------------------------


@door.post("/threads/<thread_id>/runs")
@allowed("threads", "create_run")
@body(NewThreadRun)
@answers(RunShape)
def create_run(fields: Fields, thread_id: str) -> Response:
    """Start a run on a thread, in the background. Refused: 404, 409 when the thread is busy and the strategy is `reject`, 422."""
    thread = _thread_for(thread_id, fields)
    run = _started(fields, thread)
    return _accepted(run, thread.name, f"/threads/{thread.name}/runs/{run.id}")


@door.post("/threads/<thread_id>/runs/stream")
@allowed("threads", "create_run")
@body(NewThreadRun)
@answers(Events)
def stream_new_run(fields: Fields, thread_id: str) -> Response:
    """Start a run on a thread and follow its events (SSE)."""
    thread = _thread_for(thread_id, fields)
    run, follower = started(lambda run_id: _started(fields, thread, run_id))
    place = f"/threads/{thread_id}/runs/{run.id}"
    return stream_of_run(run, after=0, place=place, cancels=_cancels(fields), follower=follower)


@door.post("/threads/<thread_id>/runs/wait")
@allowed("threads", "create_run")
@body(NewThreadRun)
@answers(Left)
def wait_for_new_run(fields: Fields, thread_id: str) -> Response:
    """Start a run on a thread and wait for the state that it leaves; a failed one answers `{"__error__": …}`."""
    thread = _thread_for(thread_id, fields)
    run, follower = started(lambda run_id: _started(fields, thread, run_id))
    return answer_of(run, place=f"/threads/{thread_id}/runs/{run.id}", cancels=_cancels(fields), follower=follower)


@door.post("/runs")
@allowed("threads", "create_run")
@body(NewRun)
@answers(RunShape)
def create_stateless_run(fields: Fields) -> Response:
    """Start a run on a thread of its own, in the background."""
    run = _started(fields, None)
    return _accepted(run, str(run.thread_key), f"/runs/{run.id}")


@door.post("/runs/stream")
@allowed("threads", "create_run")
@body(NewRun)
@answers(Events)
def stream_stateless_run(fields: Fields) -> Response:
    """Start a run on a thread of its own and follow its events (SSE)."""
    run, follower = started(lambda run_id: _started(fields, None, run_id))
    return stream_of_run(run, after=0, place=f"/runs/{run.id}", cancels=_cancels(fields), follower=follower)


@door.post("/runs/wait")
@allowed("threads", "create_run")
@body(NewRun)
@answers(Left)
def wait_for_stateless_run(fields: Fields) -> Response:
    """Start a run on a thread of its own and wait for the state that it leaves."""
    run, follower = started(lambda run_id: _started(fields, None, run_id))
    return answer_of(run, place=f"/threads/{run.thread_key}/runs/{run.id}", cancels=_cancels(fields), follower=follower)


@door.post("/runs/batch")
@allowed("threads", "create_run")
@answers(RunShape, many=True)
def create_batch() -> Response:
    """Start several runs, each on a thread of its own; all of the list is checked before the first is started."""
    wanted = [validated(NewRun(), each) for each in _list_of_objects()]
    for fields in wanted:
        checked(me().id, fields["assistant_id"], fields, None)
    accepted = [_started(fields, None, part=f"#{number}") for number, fields in enumerate(wanted)]
    return _json([run_shown(run, str(run.thread_key), words()) for run in accepted])


def _list_of_objects() -> list[Fields]:
    try:
        values = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        raise MissingJson from None
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise Invalid("Expected a list of runs.")
    if not 1 <= len(values) <= MAX_BATCH:
        raise Invalid(f"A batch has 1 to {MAX_BATCH} runs.")
    return values


def _thread_for(thread_id: str, fields: Fields) -> Thread:
    if fields["if_not_exists"] == "create":
        thread = threads.add(me().id, thread_id, if_exists="do_nothing")
    else:
        thread = threads.own(me().id, thread_id)
    return _passed(thread)


def _passed(thread: Thread) -> Thread:
    if not who.passes(thread.about):
        raise threads.ThreadNotFound
    return thread


def _started(fields: Fields, thread: Thread | None, run_id: uuid.UUID | None = None, *, part: str = "") -> Run:
    """The run that a request starts. part: which of several, where each is to have an idempotency key of its own."""
    given = request.headers.get("Idempotency-Key", "").strip()[:255]
    key = given + part if given else None
    auth = who.auth_configurable()
    return start_run(me().id, fields["assistant_id"], fields, thread, run_id=run_id, auth=auth, idempotency_key=key)


def _cancels(fields: Fields) -> bool:
    return bool(fields["on_disconnect"] == "cancel")


def _accepted(run: Run, thread_id: str, place: str) -> Response:
    answer = _json(run_shown(run, thread_id, words()))
    answer.headers["Content-Location"] = place
    return answer


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), content_type="application/json")


# -- look up -----------------------------------------------------------------------------------------------------------


@door.get("/threads/<thread_id>/runs")
@allowed("threads", "read")
@query(RunsQuery)
@answers(RunShape, many=True)
def list_runs(asked: Fields, thread_id: str) -> Response:
    """The runs of a thread, newest first; `select` names the fields that are wanted."""
    selected = asked_list("select")
    unknown = sorted(set(selected) - set(SHOWN))
    if unknown:
        raise Invalid(f"Invalid select columns: {unknown}. Expected: {sorted(SHOWN)}")
    thread = _passed(threads.own(me().id, thread_id))
    wanted = statuses(asked["status"]) if asked["status"] else None
    found = programs.runs_of(thread.id, statuses=wanted, limit=asked["limit"], offset=asked["offset"])
    shown = [run_shown(run, thread.name, words()) for run in found]
    return _json([{name: each[name] for name in selected} for each in shown] if selected else shown)


@door.get("/threads/<thread_id>/runs/<run_id>")
@allowed("threads", "read")
@answers(RunShape)
def show_run(thread_id: str, run_id: str) -> Response:
    """One run. Refused: 404."""
    return _json(run_shown(_own_run(thread_id, run_id), thread_id, words()))


@door.get("/threads/<thread_id>/runs/<run_id>/join")
@allowed("threads", "read")
@query(JoinQuery)
@answers(Left)
def join_run(asked: Fields, thread_id: str, run_id: str) -> Response:
    """Wait for a run, and get what it left; one that has ended answers at once."""
    run = _own_run(thread_id, run_id)
    release()
    return answer_of(run, place=f"/threads/{thread_id}/runs/{run.id}", cancels=asked["cancel_on_disconnect"])


@door.get("/threads/<thread_id>/runs/<run_id>/stream")
@allowed("threads", "read")
@query(StreamQuery)
@answers(Events)
def follow_run(asked: Fields, thread_id: str, run_id: str) -> Response:
    """Follow a run's events (SSE), from the one after `Last-Event-ID`; during the run and for a day after it.

    Refused: 404, and 410 for a `Last-Event-ID` that is unknown or too old.
    """
    return _followed(_own_run(thread_id, run_id), asked, f"/threads/{thread_id}/runs/{run_id}")


@door.get("/runs/<run_id>/stream")
@allowed("threads", "read")
@query(StreamQuery)
@answers(Events)
def follow_run_by_id(asked: Fields, run_id: str) -> Response:
    """Follow a run's events by its id alone (SSE)."""
    return _followed(programs.own_run(me().id, uuid_or_refuse(run_id, "run")), asked, f"/runs/{run_id}")


def _followed(run: Run, asked: Fields, place: str) -> Response:
    after = number_after(request.headers.get("Last-Event-ID") or asked["last_event_id"], run)
    modes = asked_list("stream_mode")
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise Invalid(f"{unknown[0]!r} is no stream mode: {', '.join(MODES)}.")
    release()
    wanted = {"messages" if mode == "messages-tuple" else mode for mode in modes}
    return stream_of_run(run, after=after, place=place, modes=wanted, cancels=asked["cancel_on_disconnect"])


@door.get("/threads/<thread_id>/stream")
@allowed("threads", "read")
@answers(Events)
def follow_thread(thread_id: str) -> Response:
    """Follow the events of all runs of a thread (SSE), from now on or after `Last-Event-ID`."""
    thread = _passed(threads.own(me().id, thread_id))
    kinds = asked_list("stream_mode") + asked_list("stream_modes") or ["run_modes"]
    if any(kind not in THREAD_MODES for kind in kinds):
        raise Invalid(f"stream_mode is one of {', '.join(THREAD_MODES)}.")
    newest = last_number(stream_of(thread.id))
    release()
    return stream_of_thread(stream_of(thread.id), after=_thread_cursor(newest), kinds=kinds)


def _thread_cursor(newest: int) -> int:
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return newest
    if text == "-1":
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > newest:
        raise programs.CursorUnknown
    return int(text)


def _own_run(thread_id: str, run_id: str) -> Run:
    known = uuid_or_refuse(run_id, "run")
    thread = _passed(threads.own(me().id, thread_id))
    return programs.own_run(me().id, known, thread_key=thread.id)


# -- stop --------------------------------------------------------------------------------------------------------------


@door.post("/threads/<thread_id>/runs/<run_id>/cancel")
@allowed("threads", "update")
@query(CancelQuery)
@answers(Stopped)
def cancel_run(asked: Fields, thread_id: str, run_id: str) -> Response:
    """Stop a run; `action=rollback` also takes back what it has done, and `wait` answers when it has stopped."""
    run = _own_run(thread_id, run_id)
    if run.is_over:
        raise programs.NothingToCancel
    programs.stop([run.id], rollback=asked["action"] == "rollback")
    if not asked["wait"]:
        return Response(status=202)
    place = f"/threads/{thread_id}/runs/{run.id}"
    await_end(run)
    if asked["action"] == "rollback":
        await_gone(run.id)
    return Response(b"{}", content_type="application/json", headers={"Location": f"{place}/join", "Content-Location": place})


@door.post("/runs/cancel")
@allowed("threads", "update")
@body(CancelMany)
@answers(Nothing)
def cancel_runs(fields: Fields) -> Response:
    """Stop several runs: those named of a thread, or all of one's own that wait (`pending`), work (`running`), or both (`all`)."""
    if fields["status"] is None and not fields["run_ids"]:
        raise Invalid("Name run_ids, or a status.")
    if fields["status"] is not None:
        run_ids = programs.active_runs(me().id, statuses=("pending", "running") if fields["status"] == "all" else (fields["status"],))
    else:
        key = _passed(threads.own(me().id, fields["thread_id"])).id if fields["thread_id"] else None
        run_ids = [programs.own_run(me().id, uuid_or_refuse(each, "run"), thread_key=key).id for each in fields["run_ids"]]
    if not run_ids:
        raise programs.NothingToCancel
    programs.stop(run_ids, rollback=request.args.get("action") == "rollback")
    return Response(status=204)


@door.delete("/threads/<thread_id>/runs/<run_id>")
@allowed("threads", "delete")
@answers(Nothing)
def delete_run(thread_id: str, run_id: str) -> Response:
    """Delete a run; one that is not done is stopped. What it has left in its thread stays."""
    programs.delete(_own_run(thread_id, run_id))
    return Response(status=204)
