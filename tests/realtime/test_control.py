"""Notices: heard in this process too, only by who asked for that kind, and a failing listener costs nobody anything."""

from __future__ import annotations

import queue
import uuid

import pytest
from flask import Flask

from server.kit import redis
from server.realtime import control
from server.settings import Settings
from tests.stack import eventually


@pytest.fixture
def kind(app: Flask) -> str:
    """A kind of notice that nobody else listens for; this process listens."""
    control.listen()
    eventually(lambda: redis.client().pubsub_numsub(control.CHANNEL)[0][1], what="listening")
    return uuid.uuid4().hex


def test_a_notice_is_heard_with_its_facts(kind: str) -> None:
    heard: queue.Queue[dict[str, object]] = queue.Queue()
    control.on(kind, lambda **facts: heard.put(facts))
    control.tell(kind, user_id="u", numbers=[1, 2])
    assert heard.get(timeout=10) == {"user_id": "u", "numbers": [1, 2]}


def test_a_notice_of_another_kind_is_not_heard(kind: str) -> None:
    heard: queue.Queue[str] = queue.Queue()
    control.on(kind, lambda **facts: heard.put("this"))
    control.on(f"other {kind}", lambda **facts: heard.put("other"))
    control.tell(f"other {kind}")
    control.tell(kind)
    assert [heard.get(timeout=10), heard.get(timeout=10)] == ["other", "this"]


def test_a_listener_that_fails_keeps_the_notice_from_nobody(kind: str) -> None:
    heard: queue.Queue[int] = queue.Queue()
    control.on(kind, lambda **facts: 1 / 0)
    control.on(kind, lambda **facts: heard.put(1))
    control.tell(kind)
    assert heard.get(timeout=10) == 1


def test_a_listener_that_is_named_twice_hears_once(kind: str) -> None:
    heard: queue.Queue[int] = queue.Queue()

    def listen(**facts: object) -> None:
        heard.put(1)

    control.on(kind, listen)
    control.on(kind, listen)
    control.tell(kind)
    assert heard.get(timeout=10) == 1
    control.on(kind, lambda **facts: heard.put(2))
    control.tell(kind)
    assert [heard.get(timeout=10) for _ in range(2)] == [1, 2]


def test_a_notice_that_redis_does_not_take_is_dropped(app: Flask, settings: Settings) -> None:
    redis.configure("redis://127.0.0.1:9")
    try:
        control.tell("nobody hears this")
    finally:
        redis.configure(settings.redis_url)


def test_a_frame_that_is_no_notice_stops_nobody_from_hearing_the_next(kind: str) -> None:
    heard: queue.Queue[int] = queue.Queue()
    control.on(kind, lambda **facts: heard.put(1))
    redis.client().publish(control.CHANNEL, b"no notice")
    control.tell(kind)
    assert heard.get(timeout=10) == 1
