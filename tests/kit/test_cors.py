"""Pages of other origins: let in by name, and nobody else."""

from __future__ import annotations

import dataclasses

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from server.kit import cors
from server.kit.cors import Cors
from server.settings import Settings

FRIEND = "http://localhost:3000"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


def guests(settings: Settings, *origins: str, rule: Cors | None = None) -> FlaskClient:
    """A client of a small app with these origins in its settings, and a rule besides."""
    app = Flask("guests")
    cors.install(app, dataclasses.replace(settings, cors_origins=origins), also=lambda: rule)
    app.post("/thing")(lambda: {"msg": "named" if cors.is_named(request.headers["Origin"]) else "done"})
    return app.test_client()


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


# -- rules besides the settings ----------------------------------------------------------------------------------------

OTHER = "https://app.example.com"


@pytest.mark.parametrize(
    ("rule", "origin", "lets_in"),
    [
        (Cors((OTHER,)), OTHER, True),
        (Cors((OTHER,)), f"{OTHER}.evil.example", False),
        (Cors((OTHER,)), FRIEND, True),
        (Cors(("*",)), "https://any.example", True),
        (Cors(origin_regex=r"https://.*\.example\.com"), OTHER, True),
        (Cors(origin_regex=r"https://.*\.example\.com"), f"{OTHER}.evil.net", False),
        (Cors(origin_regex=r"https://.*"), "https://" + "a" * 400, False),
        (Cors(), OTHER, False),
        (None, OTHER, False),
    ],
)
def test_an_origin_is_let_in_by_the_settings_or_by_the_rule(settings: Settings, rule: Cors | None, origin: str, lets_in: bool) -> None:
    answer = guests(settings, FRIEND, rule=rule).post("/thing", headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if lets_in else None)
    assert "Origin" in answer.vary


def test_a_rule_says_how_a_page_may_call(settings: Settings) -> None:
    rule = Cors((OTHER,), methods=("GET",), headers=("X-Mine",), exposed=("X-Told",), with_credentials=True, max_age_s=5)
    answer = guests(settings, rule=rule).options("/thing", headers={"Origin": OTHER, **PREFLIGHT})
    marks = {name.removeprefix("Access-Control-"): value for name, value in answer.headers.items() if name.startswith("Access-Control-")}
    assert (answer.status_code, marks["Allow-Methods"], marks["Max-Age"], marks["Allow-Credentials"]) == (204, "GET", "5", "true")
    assert {"X-Mine", "Authorization"} <= set(marks["Allow-Headers"].split(", "))
    assert marks["Expose-Headers"].endswith("X-Request-Id, X-Told")


def test_a_star_for_headers_allows_those_that_are_asked_for(settings: Settings) -> None:
    asks = {"Origin": OTHER, **PREFLIGHT, "Access-Control-Request-Headers": "x-one, x-two"}
    answer = guests(settings, rule=Cors((OTHER,), headers=("*",))).options("/thing", headers=asks)
    assert answer.headers["Access-Control-Allow-Headers"] == "x-one, x-two"


def test_credentials_are_not_allowed_unless_the_rule_says_so(settings: Settings) -> None:
    answer = guests(settings, FRIEND).post("/thing", headers={"Origin": FRIEND})
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_only_an_origin_that_is_written_out_is_known_by_name(settings: Settings) -> None:
    client = guests(settings, FRIEND, rule=Cors((OTHER, "*"), origin_regex=".*"))
    told = [client.post("/thing", headers={"Origin": origin}).json for origin in (FRIEND, OTHER, "https://any.example")]
    assert told == [{"msg": "named"}, {"msg": "named"}, {"msg": "done"}]
