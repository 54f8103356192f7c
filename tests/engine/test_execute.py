"""Carrying out a job: what is said meanwhile, every way in which it ends, and going on from where another attempt left off."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.engine.job import Outcome
from server.engine.parts import message_id
from server.kit.migration import libpq_url
from server.runs import leases
from server.settings import Settings
from tests.engine.conftest import Heard, source, written
from tests.runs import factories
from tests.stack import eventually

Begin = Callable[..., Heard]


def code_of(outcome: Outcome | None) -> str:
    assert outcome is not None
    assert outcome.error is not None, outcome
    return str(outcome.error["code"])


def content(outcome: Outcome | None) -> str:
    assert outcome is not None
    assert outcome.output is not None, outcome
    return str(outcome.output["content"])


# -- good ends ---------------------------------------------------------------------------------------------------------


def test_tokens_are_said_as_they_come_and_together_are_the_answer(begin: Begin) -> None:
    heard = begin(source("slow"), "n=5")
    assert content(heard.outcome()) == "1 2 3 4 5 "
    assert [data["delta"] for data in heard.of("token")] == ["1 ", "2 ", "3 ", "4 ", "5 "]
    assert {data["message_id"] for data in heard.of("token")} == {heard.outcomes[0].output["message_id"]}


def test_steps_are_told_when_they_begin_and_end(begin: Begin) -> None:
    heard = begin(source("steps"), "n=1")
    heard.outcome()
    assert [(data["name"], data["phase"]) for data in heard.of("step")] == [(name, phase) for name in "abc" for phase in ("start", "end")]


@pytest.mark.parametrize(
    ("agent", "text", "answer"),
    [("sync_waiting", "for=0.01", "waited"), ("runnable", "hello", "heard: hello")],
)
def test_agents_of_every_shape_answer(begin: Begin, agent: str, text: str, answer: str) -> None:
    assert content(begin(source(agent), text).outcome()) == answer


def test_a_factory_is_given_the_runs_config(begin: Begin) -> None:
    assert content(begin(source("factory"), context={"chat_id": "c7"}).outcome()) == "made for c7"


def test_questions_come_one_after_the_other_and_the_answers_get_where_they_belong(
    begin: Begin, settings: Settings, owner_id: uuid.UUID
) -> None:
    lease = factories.claimed(settings, factories.accepted(owner_id))
    first = begin(source("asking"), lease=lease).outcome()
    assert first.status == "interrupted"
    assert [each["value"] for each in first.interrupts] == [{"question": "Which colour?", "choices": ["red", "blue"]}]
    again = {"lease": lease, "is_retry": True, "is_fresh": False}
    second = begin(source("asking"), resume={first.interrupts[0]["id"]: "red"}, **again).outcome()
    assert [each["value"] for each in second.interrupts] == ["Which size?"]
    third = begin(source("asking"), resume={second.interrupts[0]["id"]: "large"}, **again).outcome()
    assert content(third) == "red and large"


def test_a_question_that_no_checkpoint_can_hold_is_an_error(begin: Begin) -> None:
    assert code_of(begin(source("asking_oddly")).outcome()) == "agent_failed"


# -- bad ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["failing", "exiting", "sync_exiting", "cancelling"])
def test_an_agent_that_breaks_off_ends_as_an_error_and_its_neighbours_go_on(begin: Begin, agent: str) -> None:
    neighbour = begin(source("waiting"), "for=1")
    outcome = begin(source(agent)).outcome()
    assert code_of(outcome) == "agent_failed"
    assert "secret" not in outcome.error["message"]
    assert content(neighbour.outcome()) == "waited"
    assert content(begin(source("waiting"), "for=0").outcome(within_s=5)) == "waited"


def test_an_answer_that_is_too_large_is_an_error(begin: Begin) -> None:
    assert code_of(begin(source("huge")).outcome()) == "output_too_large"


def test_a_flood_of_tokens_ends_when_it_is_too_large(begin: Begin) -> None:
    assert code_of(begin(source("slow"), "n=100000", max_output_bytes=1000).outcome()) == "output_too_large"


@pytest.mark.parametrize("agent", ["waiting", "sync_waiting"])
def test_a_deadline_ends_a_run(begin: Begin, agent: str) -> None:
    outcome = begin(source(agent), "for=3", timeout_s=0.2).outcome(within_s=2)
    assert (outcome.status, outcome.error["code"], outcome.error["retryable"]) == ("timeout", "timeout", True)


def test_a_run_that_is_told_to_stop_ends_as_cancelled_at_its_next_await(begin: Begin) -> None:
    heard = begin(source("slow"), "n=1000 delay=0.01")
    eventually(lambda: heard.of("token"), what="a token")
    heard.task.stop("cancelled")
    outcome = heard.outcome(within_s=2)
    assert (outcome.status, code_of(outcome)) == ("cancelled", "cancelled")


def test_a_run_that_is_given_up_has_no_outcome(begin: Begin) -> None:
    heard = begin(source("waiting"), "for=20")
    eventually(lambda: heard.of("step"), what="its beginning")
    heard.task.stop(None)
    assert heard.outcome(within_s=2) is None


def test_a_run_that_is_stopped_before_it_began_does_not_begin(begin: Begin) -> None:
    heard = begin(source("waiting"), "for=20")
    heard.task.stop("cancelled")
    assert heard.outcome(within_s=2).status == "cancelled"


def test_an_agent_that_goes_in_circles_is_stopped(begin: Begin, tmp_path: Path) -> None:
    circling = """
from langgraph.graph import START, MessagesState, StateGraph
graph = StateGraph(MessagesState)
graph.add_node("on", lambda state: {})
graph.add_edge(START, "on")
graph.add_edge("on", "on")
"""
    assert code_of(begin(written(tmp_path, circling)).outcome()) == "too_many_steps"


def test_an_agent_may_say_in_words_for_clients_why_it_refuses(begin: Begin, tmp_path: Path) -> None:
    refusing = """
from langgraph.graph import END, START, MessagesState, StateGraph
class Refused(Exception):
    public_message = "Not on Sundays."
def refuse(state):
    raise Refused("a secret")
graph = StateGraph(MessagesState).add_node("on", refuse).add_edge(START, "on")
"""
    outcome = begin(written(tmp_path, refusing)).outcome()
    assert (outcome.error["code"], outcome.error["message"]) == ("agent_refused", "Not on Sundays.")


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(401, "model_key", False), (429, "model_busy", True), (418, "model_failed", False), (503, "model_failed", True)],
)
def test_what_a_models_client_raises_is_told_by_its_status(begin: Begin, tmp_path: Path, status: int, code: str, retryable: bool) -> None:
    failing = f"""
from langgraph.graph import START, MessagesState, StateGraph
class Failed(Exception):
    status_code = {status}
def fail(state):
    raise Failed("sk-secret")
graph = StateGraph(MessagesState).add_node("on", fail).add_edge(START, "on")
"""
    outcome = begin(written(tmp_path, failing)).outcome()
    assert (outcome.error["code"], outcome.error["retryable"]) == (code, retryable)
    assert "secret" not in outcome.error["message"]


# -- going on ----------------------------------------------------------------------------------------------------------


def test_another_attempt_goes_on_from_the_last_checkpoint_and_says_which_messages_count(
    begin: Begin, settings: Settings, owner_id: uuid.UUID
) -> None:
    worker_id = leases.register()
    lease = factories.claimed(settings, factories.accepted(owner_id), worker_id)
    first = begin(source("steps"), "n=3 delay=0.1", lease=lease)
    eventually(lambda: [data for data in first.of("token") if data["delta"].startswith("b")], what="the second step")
    leases.lost_worker(worker_id, None, max_deaths=2)
    later = factories.claimed(settings, lease.run_id, alone=True)
    assert first.outcome() is None  # its next checkpoint was refused
    second = begin(source("steps"), "n=3", lease=later, is_retry=True, is_fresh=False)
    assert content(second.outcome()) == "c1 c2 c3 "
    assert second.text().startswith("b1 b2 b3 c1")
    assert [data["name"] for data in second.of("step") if data["phase"] == "start"] == ["b", "c"]
    said_by_a = {data["message_id"] for data in first.of("token") if data["delta"].startswith("a")}
    assert said_by_a <= set(second.kept[0])


def test_an_attempt_that_finds_no_checkpoint_of_its_run_begins_with_the_input(begin: Begin) -> None:
    heard = begin(source("slow"), "n=2", is_retry=True, is_fresh=False)
    assert content(heard.outcome()) == "1 2 "
    assert heard.kept == [[]]


def test_a_run_of_a_thread_knows_what_was_said_before(begin: Begin, settings: Settings, tmp_path: Path) -> None:
    counting = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
def count(state):
    return {"messages": [AIMessage(str(len(state["messages"])))]}
graph = StateGraph(MessagesState).add_node("on", count).add_edge(START, "on")
"""
    agent, thread_id = written(tmp_path, counting), uuid.uuid4().hex
    for expected in ("1", "3", "5"):
        assert content(begin(agent, "hello", thread_id=thread_id, is_fresh=False).outcome()) == expected


def test_the_state_of_a_thread_is_forgotten_when_asked_to(begin: Begin, engine: Any, settings: Settings) -> None:
    thread_id = uuid.uuid4().hex
    begin(source("slow"), "n=1", thread_id=thread_id).outcome()
    count = "SELECT count(*) FROM checkpoints WHERE thread_id = %s"
    with psycopg.connect(libpq_url(settings.database_url), autocommit=True) as connection:
        assert connection.execute(count, [thread_id]).fetchone()[0] > 0
        engine.forget([thread_id])
        assert connection.execute(count, [thread_id]).fetchone()[0] == 0


def test_an_agent_waits_while_the_database_cannot_keep_up(begin: Begin) -> None:
    heard = begin(source("slow"), "n=300 delay=0.001")
    eventually(lambda: heard.of("token"), what="a token")
    heard.is_full = True
    assert content(begin(source("waiting"), "for=0.6").outcome()) == "waited"
    assert not heard.has_ended
    assert len(heard.of("token")) < 200
    heard.is_full = False
    assert content(heard.outcome()).endswith("299 300 ")


def test_the_id_of_a_message_is_the_same_while_it_streams_and_when_it_is_stored() -> None:
    run_id = uuid.uuid4()
    assert message_id(run_id, "lc-1") == message_id(run_id, "lc-1") != message_id(uuid.uuid4(), "lc-1")
