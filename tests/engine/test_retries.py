"""A second attempt, when the first had come to its end and its worker died before that was stored: it ends the same way."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from server.engine.job import AgentSource, Options, Outcome
from server.runs import leases
from server.settings import Settings
from tests.engine.conftest import GRAPHS, Heard
from tests.runs import factories

DURABILITIES = ("async", "sync", "exit")
Twice = Callable[..., tuple[Outcome, Outcome]]


def program(name: str) -> AgentSource:
    return AgentSource(name, f"{GRAPHS}/programs.py:{name}", str(GRAPHS))


@pytest.fixture
def twice(begin: Callable[..., Heard], owner_id: uuid.UUID, settings: Settings) -> Twice:
    """Carry a run out, let its worker be lost, and carry it out again; both outcomes."""

    def carried_out(name: str, given: Any, *, thread: str = "", durability: str, **limits: Any) -> tuple[Outcome, Outcome]:
        run_id = factories.accepted(owner_id)
        options = {"thread_id": thread or str(run_id), "input": given, "options": Options("t", durability=durability, **limits)}
        worker_id = leases.register()
        lease = factories.claimed(settings, run_id, worker_id)
        first = begin(program(name), lease=lease, is_fresh=not thread, **options).outcome()
        leases.lost_worker(worker_id, None, max_deaths=2)
        lease = factories.claimed(settings, run_id, alone=True)
        second = begin(program(name), lease=lease, is_fresh=False, is_retry=True, **options).outcome()
        assert first is not None
        assert second is not None
        return first, second

    return carried_out


def same(outcomes: tuple[Outcome, Outcome], status: str) -> bytes:
    """What both have left; they have to have ended alike."""
    first, second = outcomes
    assert (first.status, second.status) == (status, status)
    assert (first.values, first.interrupts) == (second.values, second.interrupts)
    return second.values or b""


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("limit", [{"interrupt_before": ["close"]}, {"interrupt_after": ["open"]}, {"interrupt_before": "*"}])
def test_it_stops_where_the_first_had_stopped(twice: Twice, limit: dict[str, Any], durability: str) -> None:
    left = same(twice("diary", {"who": "a"}, durability=durability, **limit), "interrupted")
    assert b"ended" not in left


@pytest.mark.parametrize("durability", DURABILITIES)
def test_it_does_nothing_again_when_all_was_done(twice: Twice, durability: str) -> None:
    assert same(twice("diary", {"who": "a"}, durability=durability), "success") == b'{"who":"a","lines":["a began","a ended"]}'


@pytest.mark.parametrize("durability", DURABILITIES)
def test_it_asks_the_same_question(twice: Twice, durability: str) -> None:
    same(twice("errand", {"what": "go"}, durability=durability), "interrupted")


@pytest.mark.parametrize("durability", DURABILITIES)
def test_it_takes_the_answer_that_the_first_had_taken(twice: Twice, begin: Callable[..., Heard], durability: str) -> None:
    asked = begin(program("errand"), thread_id="asked", input={"what": "go"}, options=Options("t", durability=durability)).outcome()
    assert asked is not None
    assert asked.status == "interrupted"
    answered = twice("errand", None, thread="asked", durability=durability, command={"resume": "yes"})
    assert b'["prepared","allowed: yes","acted"]' in same(answered, "success")
