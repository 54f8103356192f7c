"""The state of threads at the engine: what is told, what is written, what is copied, thinned out and taken back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.engine.job import AgentSource, Options
from server.engine.room import Engine
from server.engine.snapshots import Place, StateUnreadable, UpdateRefused
from server.engine.state import KnownAs
from server.kit.db import db
from server.settings import Settings
from tests.engine.conftest import GRAPHS, written
from tests.runs import factories

Run = Callable[..., str]
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


def agent(graph: str) -> AgentSource:
    return AgentSource(graph, f"{GRAPHS}/states.py:{graph}", str(GRAPHS))


def place(graph: str, key: str, name: str = "mine") -> Place:
    return Place(KnownAs(name, key), agent(graph))


@pytest.fixture
def run(begin: Callable[..., Any], settings: Settings, owner_id: uuid.UUID) -> Run:
    """Carry a run out in a thread; the run's id."""

    def carried_out(key: str, graph: str, input: Any = None, **options: Any) -> str:
        lease = factories.claimed(settings, factories.accepted(owner_id))
        heard = begin(
            agent(graph),
            lease=lease,
            owner_id=owner_id,
            thread_id=key,
            input=input,
            is_fresh=False,
            options=Options(thread="mine", **options),
        )
        assert heard.outcome() is not None
        return str(lease.run_id)

    return carried_out


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def rows(key: str) -> dict[str, int]:
    """How many rows there are of a thread, by table."""
    with db.engine.connect() as connection:
        counts = {table: f"SELECT count(*) FROM {table} WHERE thread_id = %(key)s" for table in TABLES}
        return {table: connection.exec_driver_sql(sql, {"key": key}).scalar_one() for table, sql in counts.items()}


# -- telling -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_told_under_the_name_that_its_owner_uses(engine: Engine, run: Run, key: str) -> None:
    run(key, "steps", {"trail": ["0"]})
    state = engine.snapshots.state(place("steps", key))
    assert state["checkpoint"]["thread_id"] == state["parent_checkpoint"]["thread_id"] == state["metadata"]["thread_id"] == "mine"
    assert key not in str(state)
    assert engine.snapshots.state(place("steps", str(uuid.uuid4())))["values"] == {}


def test_a_checkpoint_of_another_thread_cannot_be_named(engine: Engine, run: Run, key: str) -> None:
    run(key, "steps", {"trail": ["0"]})
    mine = str(uuid.uuid4())
    for named in ({"thread_id": key}, {"thread_id": key, "checkpoint_id": engine.snapshots.state(place("steps", key))["checkpoint_id"]}):
        assert engine.snapshots.state(place("steps", mine), named)["values"] == {}
        assert engine.snapshots.history(place("steps", mine), named, limit=9) == []
    engine.snapshots.update(place("steps", mine), [[{"values": {"trail": ["x"]}, "as_node": "a"}]], {"thread_id": key})
    assert engine.snapshots.state(place("steps", key))["values"]["trail"] == ["0", "a", "b", "c"]


def test_a_thread_of_a_name_that_is_another_ones_key_is_kept_apart(engine: Engine, run: Run, key: str) -> None:
    run(key, "steps", {"trail": ["0"]})
    assert engine.snapshots.state(place("steps", str(uuid.uuid4()), name=key))["values"] == {}


def test_an_agent_that_cannot_be_opened_has_no_readable_state(engine: Engine, tmp_path: Path, key: str) -> None:
    broken = Place(KnownAs("mine", key), written(tmp_path, "raise ValueError('a secret')"))
    with pytest.raises(StateUnreadable) as caught:
        engine.snapshots.state(broken)
    assert caught.value.status == 409
    assert "secret" not in caught.value.message


# -- writing -----------------------------------------------------------------------------------------------------------


def test_supersteps_are_written_one_after_the_other(engine: Engine, key: str) -> None:
    steps = [
        [{"values": {"trail": ["in"]}, "as_node": "__input__"}],
        [{"values": {"trail": ["s"]}, "as_node": "__start__"}],
        [{"values": {"trail": ["a"]}, "as_node": "a"}],
    ]
    changed = engine.snapshots.update(place("steps", key), steps)
    assert (changed.values, changed.next, changed.interrupts) == ({"trail": ["s", "a"]}, ["b"], [])
    history = engine.snapshots.history(place("steps", key), limit=9)
    assert [each["metadata"]["source"] for each in history] == ["update", "update", "input"]
    assert history[0]["checkpoint"] == changed.checkpoint
    assert history[-1]["metadata"]["graph_id"] == "steps"


REFUSED = {
    "a node that is not there": ({"values": {}, "as_node": "zz"}, None, "Node zz does not exist"),
    "values that are no object": ({"values": ["x"], "as_node": "a"}, None, "Expected dict, got ['x']"),
    "a subgraph that is not there": ({"values": {}, "as_node": "a"}, {"checkpoint_ns": "zz:1"}, "Subgraph zz not found"),
    "what a reducer cannot take": ({"values": {"trail": 7}, "as_node": "a"}, None, "The agent's code failed over its state (TypeError)."),
}


@pytest.mark.parametrize(("update", "checkpoint", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refused_update_leaves_nothing(engine: Engine, key: str, update: Any, checkpoint: Any, words: str) -> None:
    with pytest.raises(UpdateRefused) as caught:
        engine.snapshots.update(place("steps", key), [[update]], checkpoint)
    assert caught.value.message == words
    assert rows(key) == dict.fromkeys(TABLES, 0)


# -- copying and thinning out ------------------------------------------------------------------------------------------


def test_a_copy_has_every_row_and_is_independent(engine: Engine, run: Run, key: str) -> None:
    run(key, "subask", {})
    copy = str(uuid.uuid4())
    engine.checkpoints.copy(key, copy)
    assert rows(copy) == rows(key)
    before = engine.snapshots.state(place("subask", key), subgraphs=True)
    assert engine.snapshots.state(place("subask", copy), subgraphs=True) == before
    run(copy, "subask", command={"resume": "yes"})
    assert engine.snapshots.state(place("subask", copy))["values"] == {"answers": ["yes"]}
    assert engine.snapshots.state(place("subask", key), subgraphs=True) == before
    engine.checkpoints.delete([key])
    assert rows(key) == dict.fromkeys(TABLES, 0)
    assert engine.snapshots.state(place("subask", copy))["values"] == {"answers": ["yes"]}


def test_the_latest_is_kept_with_its_open_questions(engine: Engine, run: Run, key: str) -> None:
    run(key, "twoasks", {})
    before = engine.snapshots.state(place("twoasks", key))
    assert engine.checkpoints.keep_latest([key, str(uuid.uuid4())])[:1] == [key]
    assert engine.snapshots.state(place("twoasks", key)) == {**before, "parent_checkpoint": None, "parent_checkpoint_id": None}
    assert rows(key)["checkpoints"] == 1
    run(key, "twoasks", command={"resume": {each["id"]: "x" for each in before["interrupts"]}})
    assert engine.snapshots.state(place("twoasks", key))["values"] == {"answers": ["x", "x"]}


# -- taking back -------------------------------------------------------------------------------------------------------


def test_a_run_that_is_taken_back_leaves_nothing(engine: Engine, run: Run, key: str) -> None:
    first = run(key, "steps", {"trail": ["1"]})
    before, kept = engine.snapshots.history(place("steps", key), limit=99), rows(key)
    second = run(key, "steps", {"trail": ["2"]})
    for _ in range(2):
        engine.checkpoints.forget_runs(key, [second])
        assert engine.snapshots.history(place("steps", key), limit=99) == before
        assert rows(key) == kept
    engine.checkpoints.forget_runs(key, [first])
    assert rows(key) == dict.fromkeys(TABLES, 0)


@pytest.mark.parametrize(
    ("graph", "answers"),
    [("ask", ["a"]), ("subask", ["a"]), ("asktwice", ["a", "b"]), ("asktwice", ["same", "same"])],
)
def test_an_answer_that_is_taken_back_can_be_given_anew(engine: Engine, run: Run, key: str, graph: str, answers: list[str]) -> None:
    run(key, graph, {})
    for answer in answers[:-1]:
        run(key, graph, command={"resume": answer})
    before = engine.snapshots.state(place(graph, key), subgraphs=True)
    last = run(key, graph, command={"resume": answers[-1]})
    engine.checkpoints.forget_runs(key, [last])
    assert engine.snapshots.state(place(graph, key), subgraphs=True) == before
    run(key, graph, command={"resume": "anew"})
    assert engine.snapshots.state(place(graph, key))["values"]["answers"] == [*answers[:-1], "anew"]


def test_an_answer_that_led_to_the_nodes_next_question_stays_given(engine: Engine, run: Run, key: str) -> None:
    run(key, "asktwice", {})
    second = run(key, "asktwice", command={"resume": "one"})
    engine.checkpoints.forget_runs(key, [second])
    assert [each["value"] for each in engine.snapshots.state(place("asktwice", key))["interrupts"]] == ["second?"]
    run(key, "asktwice", command={"resume": "two"})
    assert engine.snapshots.state(place("asktwice", key))["values"] == {"answers": ["one", "two"]}


def test_what_others_did_in_the_thread_stays(engine: Engine, run: Run, key: str) -> None:
    run(key, "steps", {"trail": ["1"]})
    other = str(uuid.uuid4())
    engine.checkpoints.copy(key, other)
    before = rows(other)
    engine.checkpoints.forget_runs(key, [str(uuid.uuid4())])
    assert rows(key) == rows(other) == before
