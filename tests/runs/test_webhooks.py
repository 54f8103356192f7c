"""Webhooks: signed, sent once by whoever is asked, tried again, given up."""

from __future__ import annotations

import hmac
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit.clock import after, now
from server.kit.db import commit, db
from server.kit.redis import client as redis_client
from server.runs.webhooks import actions
from server.runs.webhooks.models import Delivery
from server.runs.webhooks.rules import BACKOFF_S, pause_s, signature
from tests.runs import factories

PAYLOAD = {"run_id": "x", "status": "success", "values": {"say": "Grüße"}}


class Ear(ThreadingHTTPServer):
    """Somebody's server: answers with the statuses that it is given, then with 200, and keeps what it heard."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.heard: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?a=b"


class Handler(BaseHTTPRequestHandler):
    """One webhook."""

    server: Ear

    def do_POST(self) -> None:
        self.server.heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def ear() -> Iterator[Ear]:
    listening = Ear()
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield listening
    listening.shutdown()
    thread.join(5)
    listening.server_close()


def noted(owner_id: uuid.UUID, url: str) -> uuid.UUID:
    """A webhook that is to be sent."""
    run_id = uuid.uuid4()
    actions.add(run_id, owner_id, url, PAYLOAD)
    commit()
    return run_id


def sent(run_id: uuid.UUID, tries: int = 0, *, private: bool = True, headers: dict[str, str] | None = None) -> None:
    actions.deliver(run_id, tries, headers=headers or {}, private=private)


def left(run_id: uuid.UUID) -> Delivery | None:
    """What the table has of it now."""
    db.session.rollback()
    return db.session.get(Delivery, run_id, populate_existing=True)


def queued() -> list[Any]:
    """What workers are asked to do."""
    messages = [json.loads(message) for message in redis_client().lrange("parley:fast", 0, -1)]
    return [message["headers"]["task"] for message in messages]


def test_a_webhook_is_queued_with_the_commit_that_notes_it(app: Flask, owner_id: uuid.UUID) -> None:
    actions.add(uuid.uuid4(), owner_id, "https://example.com/", PAYLOAD)
    assert queued() == []
    commit()
    assert queued() == [actions.DELIVER]


def test_what_is_heard_is_the_payload_signed_with_the_owners_secret(owner_id: uuid.UUID, ear: Ear) -> None:
    run_id = noted(owner_id, ear.url)
    sent(run_id, headers={"X-Configured": "yes", "x-parley-signature": "forged"})
    ((headers, body),) = ear.heard
    said = json.loads(body)
    assert said.pop("webhook_sent_at").endswith("Z")
    assert said == PAYLOAD
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == str(run_id)
    assert headers["X-Configured"] == "yes"
    stamp, _, signed = headers["X-Parley-Signature"].partition(",v1=")
    secret = actions.secret(owner_id)
    assert hmac.new(secret.encode(), stamp.removeprefix("t=").encode() + b"." + body, "sha256").hexdigest() == signed
    assert left(run_id) is None


def test_each_owner_has_a_secret_of_their_own(app: Flask) -> None:
    anna, ben = uuid.uuid4(), uuid.uuid4()
    assert actions.secret(anna) == actions.secret(anna) != actions.secret(ben)
    assert len(actions.secret(anna)) == 64


@pytest.mark.parametrize("status", [500, 503, 429, 404, 400, 302])
def test_what_was_not_heard_is_due_again_later(owner_id: uuid.UUID, ear: Ear, status: int) -> None:
    ear.statuses = [status]
    run_id = noted(owner_id, ear.url)
    began = now()
    sent(run_id)
    delivery = left(run_id)
    assert delivery is not None
    assert delivery.tries == 1
    assert 0 <= (delivery.due_at - began).total_seconds() - BACKOFF_S[0] < 5
    assert len(ear.heard) == 1  # a redirect is not followed
    sent(run_id, 1)
    assert left(run_id) is None


def test_a_server_that_is_gone_is_not_asked_again(owner_id: uuid.UUID, ear: Ear) -> None:
    ear.statuses = [410]
    run_id = noted(owner_id, ear.url)
    sent(run_id)
    assert left(run_id) is None


def test_it_is_given_up_after_six_tries_within_about_an_hour(owner_id: uuid.UUID, ear: Ear) -> None:
    ear.statuses = [500] * 10
    run_id = noted(owner_id, ear.url)
    for tries in range(6):
        assert left(run_id) is not None
        sent(run_id, tries)
    assert left(run_id) is None
    assert len(ear.heard) == 6
    assert 3000 < sum(pause_s(tries) or 0 for tries in range(1, 7)) < 4500


def test_a_server_that_cannot_be_reached_is_tried_again(owner_id: uuid.UUID, ear: Ear) -> None:
    run_id = noted(owner_id, ear.url)
    ear.shutdown()
    ear.server_close()
    sent(run_id)
    delivery = left(run_id)
    assert delivery is not None
    assert delivery.tries == 1


def test_an_address_inside_is_never_called(owner_id: uuid.UUID, ear: Ear) -> None:
    run_id = noted(owner_id, ear.url)
    sent(run_id, private=False)
    assert ear.heard == []
    assert left(run_id) is None


def test_twenty_workers_that_are_asked_at_once_send_it_once(app: Flask, owner_id: uuid.UUID, ear: Ear) -> None:
    run_id = noted(owner_id, ear.url)
    gate = threading.Barrier(20)

    def work() -> None:
        with app.app_context():
            gate.wait(5)
            sent(run_id)

    workers = [threading.Thread(target=work) for _ in range(20)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(30)
    assert len(ear.heard) == 1


def test_one_that_was_noted_twice_is_sent_once(owner_id: uuid.UUID, ear: Ear) -> None:
    run_id = noted(owner_id, ear.url)
    actions.add(run_id, owner_id, ear.url, PAYLOAD)
    commit()
    for _ in range(2):
        sent(run_id)
    assert len(ear.heard) == 1


def test_one_whose_worker_died_while_sending_is_queued_again(owner_id: uuid.UUID, ear: Ear) -> None:
    run_id = noted(owner_id, ear.url)
    taken = sa.update(Delivery).where(Delivery.run_id == run_id)
    db.session.execute(taken.values(tries=1, due_at=after(-1), woken_at=after(-11)))  # claimed, and never heard of again
    commit()
    redis_client().delete("parley:fast")
    assert actions.wake_due(5) == 1
    assert queued() == [actions.DELIVER]
    assert actions.wake_due(5) == 0  # it is not queued anew each second
    sent(run_id, 1)
    assert len(ear.heard) == 1


def test_one_whose_message_was_lost_is_found(owner_id: uuid.UUID) -> None:
    noted(owner_id, "https://example.com/")
    redis_client().flushdb()
    assert actions.wake_due(5) == 0
    db.session.execute(sa.update(Delivery).values(woken_at=after(-6)))
    assert actions.wake_due(5) == 1


def test_a_burst_of_one_owner_is_sent_by_those_that_have_room(owner_id: uuid.UUID, ear: Ear) -> None:
    waiting = [noted(owner_id, ear.url) for _ in range(25)]
    sent(waiting[7])
    assert len(ear.heard) == 25
    assert {headers["Idempotency-Key"] for headers, _ in ear.heard} == {str(run_id) for run_id in waiting}


def test_what_was_not_heard_is_not_tried_again_before_its_time(owner_id: uuid.UUID, ear: Ear) -> None:
    ear.statuses = [500, 500]
    for run_id in [noted(owner_id, ear.url) for _ in range(2)]:
        sent(run_id)
    assert len(ear.heard) == 2
    assert actions.wake_due(0) == 0


def test_the_room_for_calls_is_shared_among_owners(app: Flask, owner_id: uuid.UUID, ear: Ear) -> None:
    waiting = noted(owner_id, ear.url)
    with actions.outbound.turn(f"webhook:{owner_id}"), actions.outbound.turn(f"webhook:{owner_id}"):
        sent(waiting)
        assert ear.heard == []
        sent(noted(factories.owner(), ear.url))
        assert len(ear.heard) == 1
    delivery = left(waiting)
    assert delivery is not None
    assert delivery.tries == 0


def test_a_signature_binds_the_body_and_the_moment() -> None:
    signed = signature("secret", b"{}", 1_800_000_000)
    assert signed == "t=1800000000,v1=" + hmac.new(b"secret", b"1800000000.{}", "sha256").hexdigest()
