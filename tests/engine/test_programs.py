"""A run as a program asked for it: what it is told of, what it leaves, and which questions stay open when it fails."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.engine.job import AgentSource, Options, Outcome
from server.engine.room import Engine
from server.settings import Settings
from tests.engine.conftest import Heard, written
from tests.runs import factories

AGENTS = Path(__file__).parents[1] / "langgraph_diff" / "agents"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}

Run = Callable[..., Heard]


def agent(graph: str) -> AgentSource:
    return AgentSource(graph, f"{AGENTS}/agents.py:{graph}", str(AGENTS))


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def start(begin: Callable[..., Heard], settings: Settings, owner_id: uuid.UUID) -> Run:
    """Begin a run on a thread that its program calls `mine`."""

    def started(key: str, graph: str | AgentSource, input: Any = None, *, job: dict[str, Any] | None = None, **options: Any) -> Heard:
        lease = factories.claimed(settings, factories.accepted(owner_id))
        source = agent(graph) if isinstance(graph, str) else graph
        named = Options(thread="mine", **options)
        return begin(source, lease=lease, owner_id=owner_id, thread_id=key, input=input, is_fresh=False, options=named, **(job or {}))

    return started


@pytest.fixture
def run(start: Run) -> Run:
    """The same, and it has ended."""

    def ended(*args: Any, **options: Any) -> Heard:
        heard = start(*args, **options)
        assert heard.outcome() is not None
        return heard

    return ended


def end_of(heard: Heard) -> Outcome:
    outcome = heard.outcome()
    assert outcome is not None
    return outcome


def values(heard: Heard) -> Any:
    left = end_of(heard).values
    return None if left is None else orjson.loads(left)


def said(heard: Heard, kind: str) -> list[Any]:
    return [orjson.loads(data) for each, data in heard.events if each == kind]


def asked(heard: Heard) -> list[Any]:
    return [each["value"] for each in end_of(heard).interrupts or []]


def code_of(heard: Heard) -> str:
    error = end_of(heard).error
    assert error is not None
    return str(error["code"])


# -- what it is told ---------------------------------------------------------------------------------------------------


def test_only_the_modes_that_were_asked_for_are_told(run: Run, key: str) -> None:
    heard = run(key, "steps", {"name": "x"}, modes=["custom"])
    assert [kind for kind, _ in heard.events] == ["custom", "custom"]
    assert values(heard) == {"name": "c:x", "trail": ["a", "b", "c"]}


def test_a_debug_event_names_its_checkpoint_and_the_one_before(run: Run, key: str) -> None:
    told = [each["payload"] for each in said(run(key, "steps", {"name": "x"}, modes=["debug"]), "debug") if each["type"] == "checkpoint"]
    assert [payload["parent_checkpoint"] for payload in told[1:]] == [payload["checkpoint"] for payload in told[:-1]]
    assert told[0]["parent_checkpoint"] is None
    assert {payload["checkpoint"]["thread_id"] for payload in told} == {"mine"}
    assert all(key not in str(payload) for payload in told)


def test_a_message_has_the_same_id_in_events_as_in_the_state(run: Run, key: str) -> None:
    heard = run(key, "echo", HELLO, modes=["events"])
    spoken = values(heard)["messages"][-1]["id"]
    chunks = [each["data"]["chunk"] for each in said(heard, "events") if each["event"] == "on_chain_stream" and each["name"] == "answer"]
    assert [chunk["messages"][0]["id"] for chunk in chunks] == [spoken]


def test_what_a_step_raised_is_told_by_its_class(run: Run, key: str) -> None:
    heard = run(key, "failing", {"name": "x"}, modes=["tasks"])
    assert said(heard, "tasks")[-1]["error"] == {"error": "ValueError", "message": "The agent failed (ValueError)."}
    assert values(heard) == {"name": "x", "trail": ["a"]}


# -- what it is given --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [{}, {"resume": None}, {"update": {}, "goto": []}])
def test_a_command_that_says_nothing_is_no_input(run: Run, key: str, command: dict[str, Any]) -> None:
    assert code_of(run(key, "steps", command=command)) == "no_input"


def test_a_command_that_says_nothing_goes_on_where_the_thread_stopped(run: Run, key: str) -> None:
    run(key, "steps", {"name": "x"}, interrupt_before=["b"])
    assert values(run(key, "steps", command={}))["trail"] == ["a", "b", "c"]


@pytest.mark.parametrize("answer", ["", [], 0, False])
def test_an_empty_answer_is_an_answer(run: Run, key: str, answer: Any) -> None:
    assert asked(run(key, "ask", {"question": "Why?"})) == [{"question": "Why?"}]
    assert values(run(key, "ask", command={"resume": answer}))["answers"] == [answer, "done"]


# -- questions ---------------------------------------------------------------------------------------------------------


def test_an_answer_to_which_of_two_questions_leaves_both_open(run: Run, key: str) -> None:
    run(key, "twoasks", {"question": "q"})
    failed = run(key, "twoasks", command={"resume": "one"})
    assert (end_of(failed).status, code_of(failed)) == ("error", "which_question")
    assert sorted(asked(failed)) == ["left?", "right?"]


def test_a_thread_can_be_answered_after_an_answer_that_failed(run: Run, key: str) -> None:
    questions = end_of(run(key, "twoasks", {"question": "q"})).interrupts or []
    run(key, "twoasks", command={"resume": "one"})
    answers = {each["id"]: each["value"].upper() for each in questions}
    assert sorted(values(run(key, "twoasks", command={"resume": answers}))["answers"]) == ["LEFT?", "RIGHT?"]


@pytest.mark.parametrize("protocol", ["classic", "v3"])
def test_a_question_stays_open_when_the_step_that_asked_it_fails(run: Run, key: str, tmp_path: Path, protocol: str) -> None:
    picky = written(tmp_path, PICKY)
    assert asked(run(key, picky, {"trail": []})) == ["number?"]
    failed = run(key, picky, command={"resume": "none"}, protocol=protocol)
    assert (code_of(failed), asked(failed)) == ("agent_failed", ["number?"])


@pytest.mark.parametrize("protocol", ["classic", "v3"])
def test_a_question_is_answered_when_a_later_step_fails(run: Run, key: str, tmp_path: Path, protocol: str) -> None:
    picky = written(tmp_path, PICKY)
    run(key, picky, {"trail": []})
    failed = run(key, picky, command={"resume": "13"}, protocol=protocol)
    assert (code_of(failed), asked(failed)) == ("agent_failed", [])


def test_a_run_that_fails_without_having_been_an_answer_leaves_no_question(run: Run, key: str) -> None:
    assert end_of(run(key, "failing", {"name": "x"})).interrupts is None


def test_a_question_stays_open_when_the_run_with_its_answer_is_stopped(
    start: Run, run: Run, engine: Engine, key: str, tmp_path: Path
) -> None:
    picky = written(tmp_path, PICKY)
    run(key, picky, {"trail": []})
    heard = start(key, picky, command={"resume": "wait"}, modes=["custom"])
    assert heard.task is not None
    while not said(heard, "custom"):
        assert not heard.has_ended
        threading.Event().wait(0.01)
    heard.task.stop("cancelled")
    assert (end_of(heard).status, asked(heard)) == ("cancelled", ["number?"])


PICKY = """
import asyncio, operator
from typing import Annotated, TypedDict
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

class Trail(TypedDict):
    trail: Annotated[list[str], operator.add]

async def ask(state: Trail):
    answer = interrupt("number?")
    if answer == "wait":
        get_stream_writer()("waiting")
        await asyncio.sleep(60)
    return {"trail": [int(answer)]}

def check(state: Trail):
    if state["trail"][-1] == 13:
        raise ValueError("unlucky")

graph = StateGraph(Trail).add_node("ask", ask).add_node("check", check)
graph = graph.add_edge(START, "ask").add_edge("ask", "check").add_edge("check", END).compile()
"""
