from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask

from server.agents import catalogue
from server.kit.redis import client as redis_client
from server.realtime.control import CHANNEL
from tests.accounts.factories import Person, ask, new_person


@pytest.fixture
def administrator(app: Flask) -> Person:
    """The first user, and so the administrator."""
    return new_person(app)


@pytest.fixture
def member(app: Flask, administrator: Person) -> Person:
    """Another user."""
    return new_person(app)


@pytest.fixture
def notices(app: Flask) -> Iterator[Any]:
    """Hears what is told to all processes."""
    with redis_client().pubsub() as ear:
        ear.subscribe(CHANNEL)
        ear.get_message(timeout=5)
        yield ear


ROUTES = [("GET", "/agent"), ("GET", "/agent/echo"), ("GET", "/agent/reload"), ("POST", "/agent/reload")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_without_a_token_sees_the_agents(app, method, path):
    assert ask(app, method, path).status_code == 401


def test_the_agents_are_listed_with_their_count(member):
    answer = member.get("/agent").json
    assert answer["count"] == len(answer["agents"])
    assert {agent["agent_id"] for agent in answer["agents"]} >= {"echo", "documents", "assistant"}
    for agent in answer["agents"]:
        assert sorted(agent) == ["agent_id", "name", "needs", "ready", "short_description", "source", "version"]


def test_an_agent_that_needs_nothing_is_ready(member):
    echo = member.get("/agent/echo").json["agent"]
    assert (echo["agent_id"], echo["source"], echo["ready"], echo["needs"]) == ("echo", "bundled", True, None)


def test_an_agent_that_needs_a_key_says_which(member):
    assistant = member.get("/agent/assistant").json["agent"]
    assert assistant["ready"] is False
    assert "OPENAI_API_KEY" in assistant["needs"]


@pytest.mark.parametrize("agent_id", ["nobody", "ECHO", "%2e%2e", "x" * 500])
def test_an_unknown_agent_does_not_exist(member, agent_id):
    answer = member.get(f"/agent/{agent_id}")
    assert (answer.status_code, answer.json) == (404, {"msg": "Agent does not exist"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_administrator_has_the_agents_read_again_in_every_process(app, administrator, notices, method):
    before = catalogue.get("echo")
    answer = administrator.ask(method, "/agent/reload")
    assert (answer.status_code, answer.json) == (200, {"msg": "Agents reloaded"})
    assert catalogue.get("echo") is not before
    assert orjson.loads(notices.get_message(timeout=5)["data"]) == ["agents.reloaded", {}]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_anybody_else_may_not(member, method):
    answer = member.ask(method, "/agent/reload")
    assert (answer.status_code, answer.json) == (403, {"msg": "You may not do this."})
