"""Every route with somebody else's ids, in the path and in the body: they are not there, and nothing of theirs is touched."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit.db import db
from tests.accounts.factories import Person, new_person

RUN = {"assistant_id": "echo", "input": {"messages": [{"role": "user", "content": "hi"}]}}
CRON = {"assistant_id": "echo", "schedule": "0 9 * * *"}
# What a route needs to be sent, so that it is the id that is refused.
BODIES: dict[str, Any] = {
    "runs.create_run": RUN,
    "runs.stream_new_run": RUN,
    "runs.wait_for_new_run": RUN,
    "/threads/<thread_id>/runs/crons": CRON,
    "/threads/<thread_id>/state": {"values": {"a": 1}},
    "/threads/<thread_id>/state/checkpoint": {"checkpoint": {"checkpoint_id": "x"}},
    "/assistants/<assistant_id>/latest": {"version": 1},
    "/runs/crons/<cron_id>": {"enabled": False},
}
# Where a name that is not there yet stands for a thread of one's own that is to be.
OF_ANY_NAME = ("/threads/<thread_id>/commands", "/threads/<thread_id>/stream/events")
TABLES = ("threads", "runs", "assistants", "assistant_versions", "crons", "memory_items", "streams", "events")


@dataclass
class Belongings:
    """What somebody has, by the names of the ids in paths."""

    owner: Person
    ids: dict[str, str]


def belongings(app: Flask) -> Belongings:
    owner = new_person(app)
    assistant = owner.post("/assistants", json={"graph_id": "echo", "name": "hers", "metadata": {"secret": "hers"}}).json
    thread = owner.post("/threads", json={"metadata": {"secret": "hers"}}).json
    run = owner.post(f"/threads/{thread['thread_id']}/runs", json=RUN).json
    cron = owner.post(f"/threads/{thread['thread_id']}/runs/crons", json={**CRON, "metadata": {"secret": "hers"}}).json
    assert owner.put("/store/items", json={"namespace": ["notes"], "key": "k", "value": {"secret": "hers"}}).status_code < 300
    ids = {
        "assistant_id": assistant["assistant_id"],
        "thread_id": thread["thread_id"],
        "run_id": run["run_id"],
        "cron_id": cron["cron_id"],
        "checkpoint_id": str(uuid.uuid4()),
        "namespace": "inner",
    }
    return Belongings(owner, ids)


@pytest.fixture
def hers(app: Flask) -> Belongings:
    return belongings(app)


@pytest.fixture
def mine(app: Flask, hers: Belongings) -> Belongings:
    return belongings(app)


def everything() -> dict[str, list[Any]]:
    """All rows of all tables that programs' things are in."""
    db.session.rollback()
    return {name: sorted(map(str, db.session.execute(sa.text(f"SELECT * FROM {name}")))) for name in TABLES}


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """The routes of this door that name something, as (method, rule, endpoint)."""
    found = []
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if view.__module__.startswith("server.langgraph_api") and rule.arguments and rule.rule not in OF_ANY_NAME:
            found += [(method, rule.rule, rule.endpoint) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return sorted(found)


def ask(person: Person, method: str, rule: str, endpoint: str, ids: dict[str, str]) -> tuple[int, str]:
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda named: ids[named[1]], rule)
    body = {} if method == "GET" else {"json": BODIES.get(endpoint, BODIES.get(rule, {}))}
    answer = person.ask(method, path, **body)
    return answer.status_code, f"{method} {path}: {answer.status_code} {answer.text[:200]}"


def test_every_route_answers_a_stranger_that_it_is_not_there(app: Flask, hers: Belongings, mine: Belongings) -> None:
    before = everything()
    walked = routes(app)
    assert len(walked) > 30
    said = [ask(mine.owner, *route, hers.ids) for route in walked]
    assert [text for status, text in said if status != 404] == []
    assert everything() == before


def test_somebody_elses_run_is_not_in_ones_own_thread(app: Flask, hers: Belongings, mine: Belongings) -> None:
    before = everything()
    mixed = {**mine.ids, "run_id": hers.ids["run_id"]}
    said = [ask(mine.owner, *route, mixed) for route in routes(app) if "<run_id>" in route[1]]
    assert len(said) >= 6
    assert [text for status, text in said if status != 404] == []
    assert everything() == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/runs", {**RUN, "assistant_id": "{assistant_id}"}),
        ("POST", "/runs/wait", {**RUN, "assistant_id": "{assistant_id}"}),
        ("POST", "/runs/stream", {**RUN, "assistant_id": "{assistant_id}"}),
        ("POST", "/runs/batch", [RUN, {**RUN, "assistant_id": "{assistant_id}"}]),
        ("POST", "/threads/{mine}/runs", {**RUN, "assistant_id": "{assistant_id}"}),
        ("POST", "/threads/{mine}/runs/wait", {**RUN, "assistant_id": "{assistant_id}"}),
        ("POST", "/threads/{mine}/runs/crons", {**CRON, "assistant_id": "{assistant_id}"}),
        ("POST", "/runs/crons", {**CRON, "assistant_id": "{assistant_id}"}),
        ("POST", "/runs/cancel", {"thread_id": "{thread_id}", "run_ids": ["{run_id}"]}),
        ("POST", "/runs/cancel", {"thread_id": "{mine}", "run_ids": ["{run_id}"]}),
        ("POST", "/runs/cancel", {"run_ids": ["{run_id}"]}),
    ],
)
def test_somebody_elses_id_in_a_body_is_not_there(hers: Belongings, mine: Belongings, method: str, path: str, body: Any) -> None:
    before = everything()
    ids = {**hers.ids, "mine": mine.ids["thread_id"]}
    answer = mine.owner.ask(method, _filled(path, ids), json=_filled(body, ids))
    assert answer.status_code == 404, answer.text
    assert everything() == before


def test_a_command_to_the_name_of_somebody_elses_thread_reaches_none_but_ones_own(app: Flask, hers: Belongings) -> None:
    stranger, path = new_person(app), f"/threads/{hers.ids['thread_id']}/commands"
    before = [row for row in everything()["threads"] if hers.owner.user_id in row]
    asked = {"id": 1, "method": "agent.getTree", "params": {}}
    assert stranger.post(path, json=asked).json == stranger.post("/threads/nobodys/commands", json=asked).json
    answer = stranger.post(path, json={"id": 2, "method": "run.start", "params": RUN}).json
    assert answer["type"] == "success", answer
    assert [row for row in everything()["threads"] if hers.owner.user_id in row] == before
    assert [run["run_id"] for run in hers.owner.get(f"/threads/{hers.ids['thread_id']}/runs").json] == [hers.ids["run_id"]]


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids) for each in value]
    return value.format(**ids) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads/search", {"ids": ["{thread_id}"]}),
        ("/threads/search", {"metadata": {"secret": "hers"}, "limit": 1000}),
        ("/threads/count", {"metadata": {"secret": "hers"}}),
        ("/assistants/search", {"metadata": {"secret": "hers"}, "limit": 1000}),
        ("/assistants/count", {"metadata": {"secret": "hers"}}),
        ("/runs/crons/search", {"thread_id": "{thread_id}", "limit": 1000}),
        ("/runs/crons/search", {"assistant_id": "{assistant_id}"}),
        ("/runs/crons/count", {"thread_id": "{thread_id}"}),
        ("/store/items/search", {"namespace_prefix": []}),
        ("/store/items/search", {"namespace_prefix": ["notes"], "query": "secret"}),
        ("/store/namespaces", {}),
    ],
)
def test_a_search_finds_nothing_of_somebody_elses(app: Flask, hers: Belongings, path: str, body: Any) -> None:
    stranger = new_person(app)
    answer = stranger.post(path, json=_filled(body, hers.ids))
    assert answer.status_code in (200, 404), answer.text
    assert answer.json in ([], 0, {"items": []}, {"namespaces": []}) or answer.status_code == 404, answer.text


def test_pruning_and_deleting_by_name_touch_ones_own_alone(hers: Belongings, mine: Belongings) -> None:
    before = everything()
    pruned = mine.owner.post("/threads/prune", json={"thread_ids": [hers.ids["thread_id"]], "strategy": "delete"})
    assert (pruned.status_code, pruned.json) in ((200, {"pruned_count": 0}), (404, pruned.json)), pruned.text
    assert mine.owner.get("/store/items", query_string={"namespace": "notes", "key": "other"}).json is None
    assert everything() == before
    assert mine.owner.ask("DELETE", "/store/items", json={"namespace": ["notes"], "key": "k"}).status_code < 300
    assert hers.owner.get("/store/items", query_string={"namespace": "notes", "key": "k"}).json["value"] == {"secret": "hers"}
