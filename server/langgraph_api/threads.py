"""The threads' door: conversations under names, their state, its history, and how a program changes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flask import Response, jsonify, request

from server.accounts.who import me
from server.kit.errors import Invalid
from server.kit.http import body, describe, query
from server.langgraph_api.dialect import asked_list, new_door, paged
from server.langgraph_api.rendering import failure
from server.langgraph_api.threads_schemas import (
    AtCheckpoint,
    ChangedThread,
    CountThreads,
    NewState,
    NewThread,
    Pruned,
    PruneThreads,
    SearchThreads,
    ShowHistory,
    ShowState,
    ShowThread,
    StateShape,
    StateStored,
    ThreadCount,
    ThreadGone,
    ThreadShape,
)
from server.langgraph_api.who import allowed
from server.runs.threads import actions, search, states
from server.runs.threads.models import Thread
from server.runs.threads.search import Path, Wanted

__all__ = ["door", "thread_shown"]

door = new_door("threads")

Fields = dict[str, Any]

# The fields of a state that a client may ask for; of the values also single keys, as `values.<key>`.
STATE_FIELDS = frozenset(states.EMPTY)


def answers(shape: Any, *, many: bool = False) -> Any:
    """Say what a view answers with, which it renders itself."""
    return lambda view: describe(view, answer=shape(many=True) if many else shape)


# -- threads -----------------------------------------------------------------------------------------------------------


@door.post("/threads")
@allowed("threads", "create")
@body(NewThread)
@answers(ThreadShape)
def create_thread(fields: Fields) -> Response:
    """Create a thread, under a name of yours or one that the server makes; with `supersteps`, with a state.

    Refused: 400 the state cannot be written (there is then no thread), 409 there is one of that name.
    """
    made = actions.create(
        me().id,
        fields["thread_id"],
        fields.get("metadata"),
        fields.get("ttl"),
        fields["if_exists"],
        fields.get("supersteps", ()),
    )
    return jsonify(thread_shown(made))


@door.get("/threads/<thread_id>")
@allowed("threads", "read")
@query(ShowThread)
@answers(ThreadShape)
def show_thread(fields: Fields, thread_id: str) -> Response:
    """Show a thread, with the state that its last run left. Refused: 404 there is none of that name."""
    thread = actions.own(me().id, thread_id)
    return jsonify({**thread_shown(thread), **(_ttl(thread) if "ttl" in asked_list("include") else {})})


@door.patch("/threads/<thread_id>")
@allowed("threads", "update")
@body(ChangedThread)
@answers(ThreadShape)
def change_thread(fields: Fields, thread_id: str) -> Response:
    """Change a thread: metadata are merged, a time to live counts from now. With `Prefer: return=minimal` a 204 without a body.

    Refused: 404 there is none of that name.
    """
    changed = actions.update(me().id, thread_id, about=fields.get("metadata"), ttl=fields.get("ttl"))
    if "return=minimal" in request.headers.get("Prefer", ""):
        return Response(status=204)
    return jsonify(thread_shown(changed))


@door.delete("/threads/<thread_id>")
@allowed("threads", "delete")
@answers(ThreadGone)
def delete_thread(thread_id: str) -> Response:
    """Delete a thread with its runs, which stop, their events, its state and its history. Refused: 404 there is none of that name."""
    actions.delete(me().id, thread_id)
    return Response(status=204)


@door.post("/threads/search")
@allowed("threads", "search")
@body(SearchThreads)
@answers(ThreadShape, many=True)
def search_threads(fields: Fields) -> Response:
    """Search your threads, those changed last first.

    `X-Pagination-Total` says how many there are (exactly up to 1,000 beyond the page), `X-Pagination-Next` where the next page begins.
    """
    paths = _paths(fields.get("extract") or {})
    names = [name for name in fields.get("select") or FIELDS if name in search.FIELDS]
    found = search.page(
        _wanted(fields),
        sort_by=fields["sort_by"],
        ascending=fields["sort_order"] == "asc",
        limit=fields["limit"],
        offset=fields["offset"],
        fields=[*names, *{path.field for path in paths.values()}],
    )
    shown = [_picked(thread, names, paths) for thread in found.threads]
    return paged(jsonify(shown), total=found.total, offset=fields["offset"], limit=fields["limit"])


@door.post("/threads/count")
@allowed("threads", "search")
@body(CountThreads)
@answers(ThreadCount)
def count_threads(fields: Fields) -> Response:
    """Count your threads."""
    return jsonify(search.count(_wanted(fields)))


@door.post("/threads/<thread_id>/copy")
@allowed("threads", "create")
@answers(ThreadShape)
def copy_thread(thread_id: str) -> Response:
    """Copy a thread, with its metadata, its state and its history. Refused: 404 there is none of that name, 503 no worker answers."""
    actions.own(me().id, thread_id)
    return jsonify(thread_shown(actions.copy(me().id, thread_id)))


@door.post("/threads/prune")
@allowed("threads", "delete")
@body(PruneThreads)
@answers(Pruned)
def prune_threads(fields: Fields) -> Response:
    """Delete threads, or (`keep_latest`) all of their history but the newest state. Threads that are not there are passed over."""
    return jsonify({"pruned_count": actions.prune(me().id, fields["thread_ids"], fields["strategy"])})


# -- their state -------------------------------------------------------------------------------------------------------


@door.get("/threads/<thread_id>/state")
@allowed("threads", "read")
@query(ShowState)
@answers(StateShape)
def show_state(fields: Fields, thread_id: str) -> Response:
    """Show the newest state of a thread; with `subgraphs` that of its subgraphs too.

    Refused: 404 there is no such thread or its graph is gone, 409 the state cannot be read, 503 no worker answers.
    """
    told = states.state(actions.own(me().id, thread_id), subgraphs=fields["subgraphs"])
    return jsonify(_selected(told, asked_list("select")))


@door.get("/threads/<thread_id>/state/<checkpoint_id>")
@allowed("threads", "read")
@query(ShowState)
@answers(StateShape)
def show_state_at(fields: Fields, thread_id: str, checkpoint_id: str) -> Response:
    """Show the state of a thread at a checkpoint; an empty one where there is none of that id. Refused as the newest state."""
    told = states.state(actions.own(me().id, thread_id), {"checkpoint_id": checkpoint_id}, subgraphs=fields["subgraphs"])
    return jsonify(_selected(told, asked_list("select")))


@door.post("/threads/<thread_id>/state/checkpoint")
@allowed("threads", "read")
@body(AtCheckpoint)
@answers(StateShape)
def show_state_of(fields: Fields, thread_id: str) -> Response:
    """Show the state of a thread at a checkpoint, also one of a subgraph. Refused as the newest state."""
    told = states.state(actions.own(me().id, thread_id), fields["checkpoint"], subgraphs=bool(fields["subgraphs"]))
    return jsonify(_selected(told, fields.get("select") or ()))


@door.post("/threads/<thread_id>/state")
@allowed("threads", "update")
@body(NewState)
@answers(StateStored)
def write_state(fields: Fields, thread_id: str) -> Response:
    """Write state to a thread as if a node had; to an earlier checkpoint, it goes on from there.

    Refused: 400 the graph does not take it, or the thread has none; 404 there is no such thread or its graph is gone; 409 a run of the
    thread is not done; 503 no worker answers.
    """
    thread = actions.own(me().id, thread_id)
    states.place(thread)
    checkpoint = fields["checkpoint"] or ({"checkpoint_id": fields["checkpoint_id"]} if fields["checkpoint_id"] else None)
    stored = states.write(thread.id, [[{"values": fields["values"], "as_node": fields["as_node"]}]], checkpoint)
    return jsonify({"checkpoint": stored, "configurable": stored, "checkpoint_id": stored.get("checkpoint_id")})


@door.post("/threads/<thread_id>/history")
@allowed("threads", "read")
@body(ShowHistory)
@answers(StateShape, many=True)
def search_history(fields: Fields, thread_id: str) -> Response:
    """Show the states of a thread, newest first: `limit` of them (1 if you do not say), before a checkpoint, of a subgraph."""
    return jsonify(_history(fields, thread_id, fields.get("select") or (), limit=1))


@door.get("/threads/<thread_id>/history")
@allowed("threads", "read")
@query(ShowHistory)
@answers(StateShape, many=True)
def show_history(fields: Fields, thread_id: str) -> Response:
    """Show the states of a thread, newest first: `limit` of them (10 if you do not say), before the checkpoint of an id."""
    return jsonify(_history(fields, thread_id, asked_list("select"), limit=10))


# -- from the wire and to it -------------------------------------------------------------------------------------------


def _history(fields: Fields, thread_id: str, select: object, *, limit: int) -> list[Fields]:
    found = states.history(
        actions.own(me().id, thread_id),
        fields["checkpoint"],
        limit=fields.get("limit", limit),
        before=fields["before"],
        metadata=fields.get("metadata"),
    )
    names = select if isinstance(select, (list, tuple)) else [select]
    return [_selected(each, names) for each in found]


def _wanted(fields: Fields) -> Wanted:
    return Wanted(me().id, fields.get("ids") or (), fields.get("metadata"), fields.get("values"), fields.get("status"))


def _paths(extract: dict[str, str]) -> dict[str, Path]:
    for name in extract:
        if not name.isidentifier():
            raise Invalid(f"Extract key '{name}' must be a valid identifier (letters, digits, underscores)")
    return {name: search.path(text) for name, text in extract.items()}


def _picked(thread: Thread, names: Sequence[str], paths: dict[str, Path]) -> Fields:
    """A thread with the fields that were asked for, and what was to be picked out of it."""
    shown = {name: FIELDS[name](thread) for name in names}
    if paths:
        shown["extracted"] = {name: path.lead(FIELDS[path.field](thread)) for name, path in paths.items()}
    return shown


def _selected(told: Fields, names: Iterable[Any]) -> Fields:
    """The fields of a state that were asked for; all of them where none were."""
    wanted = [name for name in names if name]
    if not wanted:
        return told
    unknown = [name for name in wanted if str(name).partition(".")[0] not in STATE_FIELDS]
    if unknown:
        raise Invalid(f"Invalid select columns: {unknown}. Expected: {sorted(STATE_FIELDS)}, or values.<key>")
    shown = {name: told[name] for name in told if name in wanted}
    keys = [name.partition(".")[2] for name in wanted if name.startswith("values.")]
    if keys and "values" not in shown:
        values = told["values"] if isinstance(told["values"], dict) else {}
        shown["values"] = {key: values[key] for key in keys if key in values}
    return shown


def thread_shown(thread: Thread) -> Fields:
    """A thread as this dialect shows it."""
    return {name: shown(thread) for name, shown in FIELDS.items()}


def _questions(thread: Thread) -> dict[str, list[Fields]]:
    """The open questions by the task that asks them."""
    asked: dict[str, list[Fields]] = {}
    for each in thread.interrupts or []:
        shown = {name: value for name, value in each.items() if name in ("id", "value", "response_schema")}
        asked.setdefault(each.get("task_id") or each["id"], []).append(shown)
    return asked


def _ttl(thread: Thread) -> Fields:
    if thread.ttl is None:
        return {}
    return {"ttl": {"strategy": thread.ttl["strategy"], "ttl_minutes": thread.ttl["ttl"], "expires_at": thread.expires_at}}


def _config(thread: Thread) -> Fields:
    """What its runs were configured with; a thread that had none has no config."""
    return {"configurable": {}, **thread.config} if "assistant_id" in thread.about else thread.config


FIELDS = {
    "thread_id": lambda thread: thread.name,
    "created_at": lambda thread: thread.created_at,
    "updated_at": lambda thread: thread.updated_at,
    "state_updated_at": lambda thread: thread.state_updated_at or thread.created_at,
    "metadata": lambda thread: thread.about,
    "status": lambda thread: thread.status,
    "config": _config,
    "values": lambda thread: thread.values,
    "error": lambda thread: failure(thread.error) if thread.error else None,
    "interrupts": _questions,
}
