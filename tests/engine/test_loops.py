"""Loops: an agent that blocks its own is moved off it, and its neighbours go on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from server.engine import loops
from server.engine.loops import Loops
from tests.engine.conftest import Heard, source
from tests.stack import eventually


@pytest.fixture
def made() -> Loops:
    return Loops(block_s=0.3, max_threads=4)


async def where() -> int:
    """The thread that carries it out."""
    return threading.get_ident()


async def block(for_s: float) -> int:
    time.sleep(for_s)  # noqa: ASYNC251
    return threading.get_ident()


async def turn(count: list[int]) -> None:
    while True:
        count.append(1)
        await asyncio.sleep(0.01)


def test_agents_of_one_folder_share_a_loop_and_others_have_their_own(made: Loops) -> None:
    one, same, other = (made.submit(agent, home, where()).future.result(5) for agent, home in (("a", "x"), ("b", "x"), ("c", "y")))
    assert one == same != other


def test_a_blocker_is_moved_off_and_what_comes_later_does_not_wait(made: Loops) -> None:
    blocked = made.submit("blocker", "x", block(3))
    eventually(lambda: "x" not in made._shared, within_s=2, what="the watchdog")
    began = time.monotonic()
    neighbour = made.submit("neighbour", "x", where()).future.result(5)
    again = made.submit("blocker", "x", where()).future.result(5)
    assert time.monotonic() - began < 1
    assert len({blocked.future.result(5), neighbour, again}) == 3


def test_who_stands_behind_a_blocker_is_known_to_be_stuck_and_the_blocker_is_not(made: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "RESCUE_S", 0.5)
    count: list[int] = []
    neighbour = made.submit("neighbour", "x", turn(count))
    eventually(lambda: count, what="its beginning")
    blocker = made.submit("blocker", "x", block(2))
    eventually(neighbour.is_stuck, within_s=3, what="the neighbour to be stuck")
    assert not blocker.is_stuck()
    blocker.future.result(5)
    eventually(lambda: not neighbour.is_stuck(), what="its going on")
    neighbour.cancel()


def test_a_loop_that_only_waits_is_not_taken_for_blocked(made: Loops) -> None:
    waiting = made.submit("a", "x", asyncio.sleep(1.5, "waited"))
    assert waiting.future.result(5) == "waited"
    assert "x" in made._shared


def test_a_loop_without_runs_is_closed_and_its_threads_stay_with_the_others(made: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    in_thread = made.submit("a", "x", asyncio.to_thread(threading.get_ident)).future.result(5)
    thread = made._shared["x"].thread
    monkeypatch.setattr(loops, "IDLE_S", 0.3)
    made.submit("b", "y", where()).future.result(5)
    eventually(lambda: not thread.is_alive(), within_s=5, what="the end of the loop")
    assert isinstance(in_thread, int)
    assert made.submit("a", "x", asyncio.to_thread(threading.get_ident)).future.result(5)


def test_an_errand_that_is_cancelled_before_it_begins_does_not_begin(made: Loops) -> None:
    begun: list[int] = []
    made.submit("a", "x", block(0.2))
    errand = made.submit("a", "x", turn(begun))
    errand.cancel()
    with pytest.raises(BaseException):  # noqa: B017  (concurrent.futures' own CancelledError is no Exception everywhere)
        errand.future.result(5)
    assert begun == []


def exits() -> Any:
    async def leave() -> None:
        raise SystemExit(1)

    return leave()


def test_a_loop_in_which_somebody_wants_to_exit_goes_on_for_the_others(made: Loops) -> None:
    neighbour = made.submit("a", "x", asyncio.sleep(0.3, "waited"))
    made.submit("b", "x", exits())
    assert neighbour.future.result(5) == "waited"


# -- with agents -------------------------------------------------------------------------------------------------------


def test_an_agent_that_blocks_does_not_slow_its_neighbour(begin: Callable[..., Heard]) -> None:
    begin(source("blocking"), "for=1.5").outcome()
    begin(source("blocking"), "for=6")
    began = time.monotonic()
    assert begin(source("waiting"), "for=0.1").outcome(within_s=4).status == "success"
    assert time.monotonic() - began < 3


def test_a_synchronous_agent_blocks_nobody(begin: Callable[..., Heard]) -> None:
    slow = [begin(source("sync_waiting"), "for=1") for _ in range(20)]
    began = time.monotonic()
    assert begin(source("waiting"), "for=0.05").outcome().status == "success"
    assert time.monotonic() - began < 1
    assert {each.outcome().status for each in slow} == {"success"}
