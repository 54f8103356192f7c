"""Pages of other origins: let in by name, and nobody else."""

from __future__ import annotations

import dataclasses

import pytest
from flask import Flask
from flask.testing import FlaskClient

from server.kit import cors
from server.settings import Settings

FRIEND = "http://localhost:3000"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.fixture
def guest(settings: Settings) -> FlaskClient:
    """A client of a small app that knows one friendly origin."""
    app = Flask("guest")
    cors.install(app, dataclasses.replace(settings, cors_origins=(FRIEND,)))
    app.post("/thing")(lambda: {"msg": "done"})
    return app.test_client()


def test_a_friendly_origin_may_read_the_answer_and_its_headers(guest: FlaskClient) -> None:
    answer = guest.post("/thing", headers={"Origin": FRIEND})
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.vary


def test_another_origin_is_answered_without_leave_to_read(guest: FlaskClient) -> None:
    answer = guest.post("/thing", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_friendly_preflight_is_answered_at_once(guest: FlaskClient) -> None:
    answer = guest.options("/thing", headers={"Origin": FRIEND, **PREFLIGHT})
    assert answer.status_code == 204
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


def test_a_preflight_of_another_origin_gets_no_leave(guest: FlaskClient) -> None:
    answer = guest.options("/thing", headers={"Origin": "http://evil.example", **PREFLIGHT})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_origins_in_the_settings_nothing_is_added(settings: Settings) -> None:
    app = Flask("alone")
    cors.install(app, dataclasses.replace(settings, cors_origins=()))
    app.get("/thing")(lambda: {"msg": "done"})
    assert "Access-Control-Allow-Origin" not in app.test_client().get("/thing", headers={"Origin": FRIEND}).headers
