"""Answers in a real browser, while they are made: stopped, reloaded, cut off, and gone on with."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.visitor import Visitor, counted
from tests.page.wire import Wire
from tests.stack import Stack

pytestmark = pytest.mark.browser


def test_a_running_answer_is_stopped(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=500 delay=0.05")
    somebody.begins_to_answer("3 4")
    somebody.button("Stop").click()
    expect(somebody.answer.get_by_text("Stopped.")).to_be_visible()
    expect(somebody.button("Stop")).to_have_count(0)
    assert counted(500).startswith(somebody.text_now())
    somebody.say("@slow n=3")
    somebody.has_answer(counted(3))


def test_a_reload_is_back_in_a_running_answer(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=150 delay=0.05")
    somebody.begins_to_answer("9 10")
    before = somebody.text_now()
    somebody.page.reload()
    expect(somebody.answer_text).to_contain_text(before, timeout=5_000)
    assert not somebody.text_now().endswith("150")
    somebody.has_answer(counted(150))


def test_an_answer_survives_twenty_cut_connections(visit: Visit, wire: Wire) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=600 delay=0.02")
    somebody.begins_to_answer("2 3")
    state = somebody.page.locator(".link-state")
    for _ in range(20):
        expect(state).to_have_text("Connected")
        assert wire.cut() > 0
        expect(state).not_to_have_text("Connected")
        assert counted(600).startswith(somebody.text_now())
    somebody.has_answer(counted(600))
    assert len(somebody.stored()) == 2


def test_a_message_written_without_a_connection_is_sent_once_when_there_is_one(visitor: Visitor, wire: Wire) -> None:
    visitor.say("first")
    visitor.has_answer("You said: first")
    wire.take_down()
    expect(visitor.page.locator(".link-state")).to_have_text("Reconnecting")
    visitor.say("second")
    visitor.sees("Waits for the connection.")
    wire.bring_up()
    visitor.has_answer("You said: second")
    assert [message["content"] for message in visitor.stored() if message["role"] == "user"] == ["first", "second"]


def test_a_message_that_was_not_sent_before_a_reload_is_sent_after_it(visitor: Visitor, wire: Wire) -> None:
    visitor.say("first")
    visitor.has_answer("You said: first")
    wire.take_down()
    visitor.say("second")
    visitor.sees("Waits for the connection.")
    wire.bring_up()
    visitor.page.reload()
    visitor.has_answer("You said: second")
    assert len(visitor.stored()) == 4


@pytest.mark.parametrize("kind", ["web", "worker"])
def test_a_process_that_dies_in_the_middle_is_not_seen_in_the_answer(visit: Visit, server: Stack, kind: str) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=100 delay=0.05")
    somebody.begins_to_answer("9 10")
    killed = server.kill(kind)
    server.await_restart(kind, killed)
    somebody.has_answer(counted(100), within_ms=60_000)
    assert [message["role"] for message in somebody.stored()] == ["user", "assistant"]
