"""The crons' door: runs that begin by themselves; and how one begins."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
from flask import Response, jsonify

from server.accounts.who import me
from server.agents.assistants import resolve
from server.agents.rules import BothGiven
from server.kit.clock import iso, now
from server.kit.db import db
from server.kit.errors import Refusal
from server.kit.http import body, sent
from server.langgraph_api.assistants import answers
from server.langgraph_api.assistants_schemas import Count, Nothing
from server.langgraph_api.crons_schemas import ChangedCron, CountedCrons, CronShape, NewCron, SearchCrons
from server.langgraph_api.dialect import new_door, paged, uuid_or_refuse
from server.langgraph_api.starting import start_run
from server.langgraph_api.webhooks import check_webhook
from server.langgraph_api.who import allowed, auth_configurable, auth_user, filters, passes
from server.runs.crons import actions
from server.runs.crons.models import Cron, Filter, count, search
from server.runs.threads import actions as threads
from server.runs.threads.models import Thread

__all__ = ["door", "fire"]

door = new_door("crons")

Fields = dict[str, Any]


class NothingToChange(Refusal):
    """Request body cannot be empty"""


@door.post("/runs/crons")
@allowed("crons", "create")
@body(NewCron)
@answers(CronShape)
def create_cron(fields: Fields) -> Response:
    """Create a cron: a run that begins whenever a schedule comes round, each on a thread of its own.

    Refused: 400 `Cannot specify both configurable and context. Prefer setting context alone.`, 404 there is no such assistant,
    422 the schedule, the time zone or the webhook is none, 429 you have too many crons.
    """
    return jsonify(_shown(_created(fields, None)))


@door.post("/threads/<thread_id>/runs/crons")
@allowed("crons", "create")
@body(NewCron)
@answers(CronShape)
def create_thread_cron(fields: Fields, thread_id: str) -> Response:
    """Create a cron whose runs go on with one thread.

    Refused: 400 `Cannot specify both configurable and context. Prefer setting context alone.`, 404 there is no such thread or
    assistant, 422 the schedule, the time zone or the webhook is none, 429 you have too many crons.
    """
    return jsonify(_shown(_created(fields, threads.own(me().id, thread_id))))


@door.get("/runs/crons/<cron_id>")
@allowed("crons", "read")
@answers(CronShape)
def show_cron(cron_id: str) -> Response:
    """Show a cron. Refused: 404 there is none of that id."""
    return jsonify(_shown(_found(cron_id)))


@door.patch("/runs/crons/<cron_id>")
@allowed("crons", "update")
@body(ChangedCron)
@answers(CronShape)
def change_cron(fields: Fields, cron_id: str) -> Response:
    """Change a cron; its metadata are merged, everything else is replaced.

    Refused: 400 `Request body cannot be empty`, 404 there is none of that id, 422 the schedule, the time zone or the webhook is none.
    """
    changes = _written(fields)
    if not changes:
        raise NothingToChange
    return jsonify(_shown(actions.update(me().id, _found(cron_id).id, changes)))


@door.delete("/runs/crons/<cron_id>")
@allowed("crons", "delete")
@answers(Nothing)
def delete_cron(cron_id: str) -> Response:
    """Delete a cron; what it has started goes on. Refused: 404 there is none of that id."""
    actions.delete(me().id, _found(cron_id).id)
    return Response(status=204)


@door.post("/runs/crons/search")
@allowed("crons", "search")
@body(SearchCrons)
@answers(CronShape, many=True)
def search_crons(fields: Fields) -> Response:
    """Search your crons, those made last first.

    `X-Pagination-Total` says how many there are, `X-Pagination-Next` where the next page begins.
    """
    limit, offset, wanted = fields["limit"], fields["offset"], _filter(fields)
    is_ascending = fields["sort_order"] == "asc"
    found = search(wanted, limit=limit, offset=offset, sort_by=fields["sort_by"], is_ascending=is_ascending)
    names = fields["select"]
    shown = [{name: value for name, value in _shown(cron).items() if not names or name in names} for cron in found]
    return paged(jsonify(shown), total=count(wanted), offset=offset, limit=limit)


@door.post("/runs/crons/count")
@allowed("crons", "search")
@body(CountedCrons)
@answers(Count)
def count_crons(fields: Fields) -> Response:
    """Count your crons."""
    return jsonify(count(_filter(fields)))


# -- from the wire and to it -------------------------------------------------------------------------------------------


def _created(fields: Fields, thread: Thread | None) -> Cron:
    assistant = resolve(me().id, fields["assistant_id"])
    payload = {name: value for name, value in _written(fields).items() if name != "assistant_id"}
    auth = auth_configurable() if auth_user() is not None else None
    return actions.create(me().id, assistant.id, payload, thread=thread, auth=auth)


def _found(cron_id: str) -> Cron:
    cron = actions.get(me().id, uuid_or_refuse(cron_id, "cron"))
    if not passes(cron.about):
        raise actions.CronNotFound(f"Cron '{cron_id}' not found")
    return cron


def _written(fields: Fields) -> Fields:
    """What the client has said, without the schema's defaults, as far as it can be carried out."""
    said = {name: value for name, value in fields.items() if name in orjson.loads(sent())}
    if said.get("enabled", True) is None:
        del said["enabled"]
    if said.get("context") and (said.get("config") or {}).get("configurable"):
        raise BothGiven
    if said.get("webhook"):
        check_webhook(said["webhook"])
    return said


def _filter(fields: Fields) -> Filter:
    named = fields["assistant_id"]
    return Filter(
        owner_id=me().id,
        assistant_id=uuid_or_refuse(named, "assistant") if named is not None else None,
        thread_name=fields["thread_id"],
        enabled=fields["enabled"],
        about=fields["metadata"],
        must=filters(),
    )


def _shown(cron: Cron) -> Fields:
    shown: Fields = {
        "cron_id": cron.id,
        "assistant_id": cron.assistant_id,
        "thread_id": cron.thread_name,
        "user_id": cron.owner_id,
        "end_time": cron.end_time,
        "schedule": cron.schedule,
        "timezone": cron.timezone,
        "payload": cron.payload,
        "next_run_date": cron.next_run_at,
        "metadata": cron.about,
        "on_run_completed": cron.on_run_completed,
        "enabled": cron.enabled,
        "created_at": cron.created_at,
        "updated_at": cron.updated_at,
    }
    return {**shown, "note": cron.note} if cron.note is not None else shown


# -- firing ------------------------------------------------------------------------------------------------------------


def fire() -> int:
    """Start the runs of all crons that are due; how many. The scheduler does this each round."""
    return actions.fire_due(now(), _begin)


def _begin(cron: Cron, was_due: dt.datetime) -> None:
    """Start the run of a cron for the moment at which it was due, once."""
    thread = db.session.get(Thread, cron.thread_key) if cron.thread_key is not None else None
    key = f"cron:{cron.id}:{iso(was_due)}"
    start_run(cron.owner_id, str(cron.assistant_id), _payload(cron), thread, auth=cron.auth, idempotency_key=key)


def _payload(cron: Cron) -> Fields:
    """What the run is started with. The cron's id is in its configuration, or in its context if it has one."""
    payload: Fields = {**cron.payload, "on_completion": cron.on_run_completed or "keep"}
    if payload.get("context"):
        config = {name: value for name, value in (payload.get("config") or {}).items() if name != "configurable"}
        payload.update(config=config, context={"cron_id": str(cron.id), **payload["context"]})
    return payload
