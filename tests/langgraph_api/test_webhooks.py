"""What follows a run that has a webhook: where it may go, and what it says."""

from __future__ import annotations

import dataclasses
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.agents import catalogue
from server.kit.db import commit, db
from server.kit.outbound import CallRefused
from server.langgraph_api.ended import follow
from server.langgraph_api.starting import start_run
from server.langgraph_api.webhooks import check_webhook
from server.runs import actions as runs
from server.runs.models import Run
from server.runs.threads import actions as threads
from server.runs.webhooks.actions import secret
from server.runs.webhooks.models import Delivery
from tests.accounts.factories import new_person
from tests.runs import factories

HOOK = "https://example.com/hook"


@pytest.fixture
def configured(app: Flask, tmp_path: Path) -> Any:
    """Returns a function that puts a `langgraph.json` with these `webhooks` in force; what was before is in force again after."""
    settings = app.config["SETTINGS"]

    def configure(webhooks: dict[str, Any]) -> None:
        path = tmp_path / "langgraph.json"
        (tmp_path / "graphs.py").write_text("graph = None\n")
        path.write_text(json.dumps({"graphs": {"mine": "./graphs.py:graph"}, "dependencies": ["."], "webhooks": webhooks}))
        catalogue.install(app, dataclasses.replace(settings, agents_config=str(path)))

    yield configure
    catalogue.install(app, settings)


def ended(status: str, *, error: dict[str, Any] | None = None, output: Any = None, **payload: Any) -> Run:
    """A run of a program's that has come to this end."""
    owner_id = factories.owner()
    thread = threads.create(owner_id, "mine")
    started = start_run(owner_id, "echo", {"input": {"messages": []}, "webhook": HOOK, **payload}, thread)
    run = db.session.get_one(Run, started.id)
    run.output = output
    run.status = "running" if status != "cancelled" else "pending"
    db.session.flush()
    runs.end(run, status, error=error)
    commit()
    return run


def delivered() -> list[Delivery]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Delivery)))


# -- where it may go ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["/hook", "nope", "ftp://example.com/", "http://127.0.0.1/", "http://localhost:9/", "https://u:p@example.com/"]
)
def test_an_address_inside_or_none_at_all_is_refused_at_once(app: Flask, url: str) -> None:
    with pytest.raises(CallRefused):
        check_webhook(url)


def test_any_public_address_may_be_called_where_the_operator_says_nothing(app: Flask) -> None:
    for url in (HOOK, "http://example.com:8080/"):
        check_webhook(url)


@pytest.mark.parametrize(
    ("rules", "fine", "refused"),
    [
        ({"require_https": True}, "https://example.com/", "http://example.com/"),
        ({"allowed_ports": [443, 8443]}, "https://example.com:8443/", "https://example.com:9443/"),
        ({"allowed_ports": [443]}, "https://example.com/", "http://example.com/"),
        ({"allowed_domains": ["example.com"]}, "https://EXAMPLE.com./", "https://hooks.example.com/"),
        ({"allowed_domains": ["*.example.com"]}, "https://hooks.example.com/", "https://example.com/"),
        ({"allowed_domains": ["*.example.com"]}, "https://a.b.example.com/", "https://evilexample.com/"),
        ({"allowed_domains": ["example.com"]}, "https://example.com/", "https://example.com.evil.org/"),
        ({"max_url_length": 30}, "https://example.com/", "https://example.com/" + "a" * 20),
    ],
)
def test_the_operator_says_where_webhooks_may_go(configured: Any, rules: dict[str, Any], fine: str, refused: str) -> None:
    configured({"url": rules})
    check_webhook(fine)
    with pytest.raises(CallRefused):
        check_webhook(refused)


def test_an_owner_can_read_the_secret_that_webhooks_are_signed_with(app: Flask) -> None:
    anna = new_person(app)
    answer = anna.get("/webhooks/secret")
    assert answer.json == {"secret": secret(uuid.UUID(anna.user_id))}
    assert app.test_client().get("/webhooks/secret").status_code == 401


# -- what it says ------------------------------------------------------------------------------------------------------


def test_the_end_of_a_run_is_noted_to_be_told_once(app: Flask) -> None:
    run = ended("success", output={"say": "hello"}, metadata={"m": 1})
    for _ in range(2):
        follow(str(run.id))
    (delivery,) = delivered()
    assert (delivery.run_id, delivery.owner_id, delivery.url, delivery.tries) == (run.id, run.owner_id, HOOK, 0)
    said = delivery.payload
    assert (said["run_id"], said["thread_id"], said["status"], said["values"]) == (str(run.id), "mine", "success", {"say": "hello"})
    assert said["metadata"]["m"] == 1
    assert said["kwargs"]["webhook"] == HOOK
    assert said["run_ended_at"].endswith("Z")
    assert "error" not in said
    assert factories.stored(run.id).then_due_at is None


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_a_failure_is_told_with_its_error(app: Flask, status: str) -> None:
    run = ended(status, error={"code": "agent_failed", "kind": "ValueError", "message": "It broke.", "retryable": False})
    follow(str(run.id))
    (delivery,) = delivered()
    assert (delivery.payload["status"], delivery.payload["error"]) == (status, {"error": "ValueError", "message": "It broke."})


def test_a_cancelled_run_is_told_too(app: Flask) -> None:
    run = ended("cancelled", error=runs.CANCELLED)
    follow(str(run.id))
    (delivery,) = delivered()
    assert delivery.payload["status"] == "interrupted"
    assert delivery.payload["cancelled_at"] == delivery.payload["run_ended_at"]


def test_what_is_to_be_told_outlives_the_run_and_its_thread(app: Flask) -> None:
    run = ended("success")
    follow(str(run.id))
    db.session.execute(sa.text("DELETE FROM threads"))
    commit()
    assert len(delivered()) == 1


def test_a_run_that_is_gone_needs_no_telling(app: Flask) -> None:
    follow(str(uuid.uuid4()))
    assert delivered() == []
