"""Checkpoints: grouped and fenced, whatever else is wrong; and the same state as LangGraph's own PostgreSQL saver keeps."""

from __future__ import annotations

import asyncio
import operator
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from flask import Flask
from langchain_core.messages import AIMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row

from server.engine.state import RunSaver, StateRoom
from server.engine.statewriter import LeaseLost, Statement, StateWriter
from server.kit.migration import libpq_url
from server.runs import leases
from server.runs.leases import FENCE_SQL, Lease
from server.settings import Settings
from tests.runs import factories

INSERT = "INSERT INTO noted (id, text) VALUES (%s, %s)"


# -- the writer --------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(app: Flask, settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(libpq_url(settings.database_url), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS noted")
        connection.execute("CREATE TABLE noted (id int PRIMARY KEY, text text, by_transaction text DEFAULT pg_current_xact_id()::text)")
        yield connection
    with psycopg.connect(libpq_url(settings.database_url), autocommit=True) as connection:
        connection.execute("DROP TABLE noted")


@pytest.fixture
def writer(table: object, settings: Settings) -> Iterator[StateWriter]:
    made = StateWriter(libpq_url(settings.database_url), FENCE_SQL)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def lease(app: Flask, settings: Settings) -> Lease:
    return factories.claimed(settings, factories.accepted())


def put(writer: StateWriter, lease: Lease, *rows: tuple[int, str]) -> Future[None]:
    return writer.put((lease.run_id, lease.attempt), [Statement(INSERT, rows)])


def noted(table: psycopg.Connection[Any]) -> list[int]:
    return [row[0] for row in table.execute("SELECT id FROM noted ORDER BY id").fetchall()]


def test_what_waits_together_goes_in_one_transaction(writer: StateWriter, lease: Lease, table: psycopg.Connection[Any]) -> None:
    with writer._changed:
        stored = [put(writer, lease, (number, "x")) for number in range(100)]
    for each in stored:
        each.result(10)
    assert table.execute("SELECT count(DISTINCT by_transaction) FROM noted").fetchone() == (1,)


def test_a_stale_attempt_stores_nothing_and_hears_so_while_its_neighbours_store(
    writer: StateWriter, lease: Lease, settings: Settings, table: psycopg.Connection[Any]
) -> None:
    worker_id = leases.register()
    stale = factories.claimed(settings, factories.accepted(), worker_id)
    leases.lost_worker(worker_id, None, max_deaths=2)
    with writer._changed:
        good, bad, also_good = put(writer, lease, (1, "x")), put(writer, stale, (2, "x")), put(writer, lease, (3, "x"))
    good.result(10)
    also_good.result(10)
    with pytest.raises(LeaseLost):
        bad.result(10)
    assert noted(table) == [1, 3]


def test_one_write_that_cannot_be_stored_costs_its_neighbours_nothing(
    writer: StateWriter, lease: Lease, table: psycopg.Connection[Any]
) -> None:
    with writer._changed:
        stored = [put(writer, lease, (number, "nul \x00" if number == 3 else "x")) for number in range(6)]
    for number, each in enumerate(stored):
        if number == 3:
            with pytest.raises(psycopg.DataError):
                each.result(10)
        else:
            each.result(10)
    assert noted(table) == [0, 1, 2, 4, 5]


def test_a_write_is_stored_whole_or_not_at_all(writer: StateWriter, lease: Lease, table: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        put(writer, lease, (1, "x"), (2, "x"), (1, "x")).result(10)
    assert noted(table) == []


def test_writes_wait_while_postgresql_restarts(
    writer: StateWriter, lease: Lease, settings: Settings, table: psycopg.Connection[Any]
) -> None:
    put(writer, lease, (1, "x")).result(10)
    factories.restart_postgresql(settings, lambda: put(writer, lease, (2, "x")))
    put(writer, lease, (3, "x")).result(30)
    with psycopg.connect(libpq_url(settings.database_url)) as connection:
        assert noted(connection) == [1, 2, 3]


def test_who_stops_the_writer_gets_everything_stored_first(writer: StateWriter, lease: Lease, table: psycopg.Connection[Any]) -> None:
    stored = [put(writer, lease, (number, "x")) for number in range(300)]
    writer.stop()
    assert all(each.done() for each in stored)
    assert len(noted(table)) == 300


# -- the saver, beside LangGraph's own ---------------------------------------------------------------------------------


class Inner(TypedDict):
    """The state of a graph within a graph."""

    trail: Annotated[list[str], operator.add]


class Outer(MessagesState):
    """The state of the graph around it."""

    trail: Annotated[list[str], operator.add]


def asks(state: Inner) -> dict[str, Any]:
    return {"trail": [f"inner {interrupt('which?')}"]}


def nested() -> Pregel[Any, Any, Any, Any]:
    """A graph with two branches at once, a graph inside that asks, and messages."""
    inner = StateGraph(Inner).add_node("asks", asks).add_edge(START, "asks").compile()
    outer = StateGraph(Outer)
    outer.add_node("left", lambda state: {"trail": ["left"]})
    outer.add_node("right", lambda state: {"trail": ["right"], "messages": [AIMessage("said", id="m1")]})
    outer.add_node("inner", inner)
    outer.add_node("last", lambda state: {"trail": ["last"]})
    for name in ("left", "right"):
        outer.add_edge(START, name)
    outer.add_edge(["left", "right"], "inner")
    outer.add_edge("inner", "last")
    outer.add_edge("last", END)
    return outer.compile()


async def lived(graph: Any, saver: Any) -> dict[str, Any]:
    """What a conversation with the graph leaves behind: its states, its history, its answers; without ids and moments."""
    graph = graph.copy({"checkpointer": saver})
    config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
    first = await graph.ainvoke({"messages": [("user", "go")], "trail": ["start"]}, config)
    asking = await graph.aget_state(config, subgraphs=True)
    answered = await graph.ainvoke(Command(resume="red"), config)
    await graph.aupdate_state(config, {"trail": ["by hand"]})
    again = await graph.ainvoke({"messages": [("user", "again")], "trail": []}, config)
    history = [each async for each in graph.aget_state_history(config)]
    return {
        "first": first["trail"],
        "asking": (asking.next, [each.value for task in asking.tasks for each in task.interrupts]),
        "inner": [task.state.next for task in asking.tasks if task.state],
        "answered": answered["trail"],
        "again": again["trail"],
        "messages": [(each.type, each.text) for each in history[0].values["messages"]],
        "history": [(each.values.get("trail"), each.next, each.metadata["source"], each.metadata["step"]) for each in history],
        "limited": len([each async for each in graph.aget_state_history(config, limit=2)]),
        "past": (await graph.aget_state(history[-2].config)).values["trail"],
    }


async def with_langgraphs_own(url: str) -> dict[str, Any]:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row)
    async with connection:
        return await lived(nested(), AsyncPostgresSaver(connection))


@pytest.fixture
def room(app: Flask, settings: Settings) -> Iterator[StateRoom]:
    made = StateRoom(settings.database_url, FENCE_SQL)
    made.open()
    yield made
    made.close()


def test_a_graph_lives_the_same_with_this_saver_as_with_langgraphs_own(room: StateRoom, settings: Settings, lease: Lease) -> None:
    ours = asyncio.run(lived(nested(), RunSaver(room, lease.run_id, lease.attempt, is_fresh=False)))
    theirs = asyncio.run(with_langgraphs_own(libpq_url(settings.database_url)))
    assert ours == theirs
    assert ours["asking"] == (("inner",), ["which?"])
    assert ours["answered"][-2:] == ["inner red", "last"]


def test_a_stale_attempt_cannot_change_the_state(room: StateRoom, settings: Settings) -> None:
    worker_id = leases.register()
    stale = factories.claimed(settings, factories.accepted(), worker_id)
    leases.lost_worker(worker_id, None, max_deaths=2)
    with pytest.raises(LeaseLost):
        asyncio.run(lived(nested(), RunSaver(room, stale.run_id, stale.attempt, is_fresh=False)))


def test_two_processes_may_make_the_tables_at_once(app: Flask, settings: Settings) -> None:
    rooms = [StateRoom(settings.database_url, FENCE_SQL) for _ in range(3)]
    factories.at_once(app, [room.open for room in rooms])
    for room in rooms:
        room.close()
