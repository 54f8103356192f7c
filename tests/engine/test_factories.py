"""Factories of every shape: what they are given, what they may give, and what becomes of what they have opened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from server.engine import graphs
from server.engine.graphs import AgentBroken, opened_graph
from server.engine.job import AgentSource
from tests.engine.conftest import written

HEAD = """
import contextlib, functools
from dataclasses import dataclass
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel
told, closed = [], []
def draft(*words):
    told.extend(words)
    say = lambda state: {"messages": [AIMessage(" ".join(map(str, words)))]}
    return StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").add_edge("say", END)
def thread(config): return config["configurable"]["thread_id"]
@dataclass
class Place:
    city: str
class Model(BaseModel):
    city: str
"""
SHAPES = {
    "no argument": ("def graph(): return draft('t')", "t"),
    "asynchronous, no argument": ("async def graph(): return draft('t').compile()", "t"),
    "a config by any name": ("def graph(c): return draft(thread(c))", "t"),
    "a config by its type": ("def graph(settings: RunnableConfig): return draft(thread(settings))", "t"),
    "a config by keyword": ("def graph(*, config: RunnableConfig): return draft(thread(config))", "t"),
    "a config by position": ("def graph(config, /): return draft(thread(config))", "t"),
    "a config and a parameter with a default": ("def graph(config, word='x'): return draft(thread(config) + word)", "tx"),
    "a runtime": ("def graph(runtime: ServerRuntime): return draft(runtime.access_context)", "threads.create_run"),
    "a runtime by its name": ("async def graph(runtime): return draft(runtime.user.identity)", "ann"),
    "a runtime by its type": ("def graph(r: 'ServerRuntime[Place]'): return draft(r.execution_runtime.context.city)", "Oslo"),
    "a runtime with a model": ("def graph(r: ServerRuntime[Model]): return draft(type(r.context).__name__)", "Model"),
    "a runtime with a dict": ("def graph(r: ServerRuntime[dict]): return draft(r.context['city'])", "Oslo"),
    "a runtime with a store": ("def graph(runtime: ServerRuntime): return draft(type(runtime.store).__name__)", "InMemoryStore"),
    "both": ("def graph(runtime: ServerRuntime, config: RunnableConfig): return draft(thread(config), runtime.user['team'])", "t red"),
    "a partial": ("def make(word, config): return draft(word, thread(config))\ngraph = functools.partial(make, 'hi')", "hi t"),
    "an object": ("class Make:\n    async def __call__(self, config): return draft(thread(config))\ngraph = Make()", "t"),
    "a method": ("class Make:\n    def make(self, config): return draft(thread(config))\ngraph = Make().make", "t"),
    "a function that gives something to await": ("async def later(): return draft('t')\ndef graph(config): return later()", "t"),
    "a context manager": ("@contextlib.contextmanager\ndef graph(config):\n    yield draft(thread(config))\n    closed.append(1)", "t"),
    "an asynchronous context manager": (
        "@contextlib.asynccontextmanager\nasync def graph(runtime: ServerRuntime[Place]):\n"
        "    yield draft(runtime.ensure_user().identity, runtime.execution_runtime.context.city)\n    closed.append(1)",
        "ann Oslo",
    ),
}
PERSON = {"identity": "ann", "team": "red"}
CONFIG: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test opened is not there for the next."""
    yield
    graphs.forget()


async def answered(source: AgentSource, **visit: Any) -> str:
    visit = {"store": InMemoryStore(), "user": PERSON, "context": {"city": "Oslo", "other": 1}, **visit}
    async with opened_graph(source, CONFIG, **visit) as graph:
        state = await graph.ainvoke({"messages": [("user", "hello")]})
        return str(state["messages"][-1].text)


def kept(source: AgentSource, name: str) -> Any:
    """A variable of the agent's module."""
    return asyncio.run(graphs.open_object(AgentSource("peek", f"{source.graph.rpartition(':')[0]}:{name}", source.folder)))


@pytest.mark.parametrize(("code", "expected"), SHAPES.values(), ids=SHAPES)
def test_a_factory_may_take(tmp_path: Path, code: str, expected: str) -> None:
    assert asyncio.run(answered(written(tmp_path, HEAD + code))) == expected


def test_what_a_context_manager_opened_is_closed_after_the_run_and_not_before(tmp_path: Path) -> None:
    source = written(tmp_path, HEAD + SHAPES["an asynchronous context manager"][0])
    closed = kept(source, "closed")

    async def visit() -> None:
        async with opened_graph(source, CONFIG, user=PERSON, context={"city": "Oslo"}):
            assert closed == []

    asyncio.run(visit())
    assert closed == [1]


@pytest.mark.parametrize("how", ["contextlib.contextmanager\ndef", "contextlib.asynccontextmanager\nasync def"])
def test_a_context_manager_hears_of_a_run_that_failed_and_cannot_make_it_a_success(tmp_path: Path, how: str) -> None:
    code = f"@{how} graph(config):\n    try:\n        yield draft()\n    except ZeroDivisionError:\n        closed.append('heard')"
    source = written(tmp_path, HEAD + code)

    async def fail() -> None:
        async with opened_graph(source, CONFIG):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert kept(source, "closed") == ["heard"]


def test_a_context_manager_that_fails_to_close_does_not_undo_a_success(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = "@contextlib.asynccontextmanager\nasync def graph(config):\n    yield draft('t')\n    raise ValueError('too late')"
    assert asyncio.run(answered(written(tmp_path, HEAD + code))) == "t"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["agent.close_failed"]


def test_a_run_that_is_cancelled_closes_what_was_opened(tmp_path: Path) -> None:
    code = (
        "@contextlib.asynccontextmanager\nasync def graph(config):\n    try:\n        yield draft()\n    finally:\n        closed.append(1)"
    )
    source = written(tmp_path, HEAD + code)

    async def cancel() -> None:
        entered = asyncio.Event()

        async def run() -> None:
            async with opened_graph(source, CONFIG):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert kept(source, "closed") == [1]


@pytest.mark.parametrize("access", ["threads.read", "threads.update", "assistants.read"])
def test_a_visit_that_runs_nothing_has_no_execution_runtime(tmp_path: Path, access: str) -> None:
    code = "def graph(runtime: ServerRuntime): return draft(runtime.access_context, runtime.execution_runtime, runtime.user)"
    assert asyncio.run(answered(written(tmp_path, HEAD + code), access=access, user=None)) == f"{access} None None"


def test_a_graph_is_compiled_once(tmp_path: Path) -> None:
    source = written(tmp_path, HEAD + "graph = draft('t')")

    async def twice() -> bool:
        async with opened_graph(source, CONFIG) as one, opened_graph(source, CONFIG) as two:
            return one is two

    assert asyncio.run(twice())


def test_what_a_factory_raises_is_not_hidden(tmp_path: Path) -> None:
    source = written(tmp_path, HEAD + "def graph(runtime): return runtime.ensure_user()")
    with pytest.raises(PermissionError):
        asyncio.run(answered(source, user=None))


def test_a_factory_whose_parameter_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentBroken, match="'database' is neither a config nor a runtime"):
        asyncio.run(answered(written(tmp_path, HEAD + "def graph(config, database: str): return draft()")))
