"""Agents that do one thing each, for tests of the engine alone."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.exceptions import ModelConnectionError
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from tests.graphs.agents import Counting, of_one_node

# Rung by an agent when it is at work; what it waits for is rung by the test.
began = threading.Event()
go_on = threading.Event()


def say(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"{len(state['messages'])}: {state['messages'][-1].text}")]}


def fail(state: MessagesState) -> dict[str, Any]:
    raise ValueError("a secret that no client may read")


class Refusal(Exception):
    """What its author wrote for clients."""

    public_message = "Not on a Sunday."


def refuse(state: MessagesState) -> dict[str, Any]:
    raise Refusal("secret")


class StatusError(Exception):
    """As the clients of the model providers raise it."""

    def __init__(self, status_code: int) -> None:
        super().__init__("secret")
        self.status_code = status_code


def fail_as_told(state: MessagesState) -> dict[str, Any]:
    raise StatusError(int(state["messages"][-1].text))


def lose_model(state: MessagesState) -> dict[str, Any]:
    raise ModelConnectionError("secret")


async def leave(state: MessagesState) -> dict[str, Any]:
    sys.exit("secret")


def leave_in_thread(state: MessagesState) -> dict[str, Any]:
    sys.exit("secret")


async def wait(state: MessagesState) -> dict[str, Any]:
    began.set()
    await asyncio.sleep(60)
    return {}


async def rude_factory() -> Any:
    """Turns a cancel into an error of its own."""
    began.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise RuntimeError("secret") from None


async def flood(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Counting(n=500).ainvoke(state["messages"])]}


def burst(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("x" * 5000)]}


def ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"got {interrupt({'question': 'Which?'})}")]}


class Counted(MessagesState):
    """Which steps were carried out."""

    trail: list[str]


async def first(state: Counted) -> dict[str, Any]:
    spoken = await Counting(n=2, prefix="a").ainvoke(state["messages"])
    return {"messages": [spoken], "trail": [*state.get("trail", []), "first"]}


async def second(state: Counted) -> dict[str, Any]:
    began.set()
    while not go_on.is_set():
        await asyncio.sleep(0.01)
    return {"messages": [AIMessage("done")], "trail": [*state["trail"], "second"]}


def of_two_steps() -> Any:
    graph = StateGraph(Counted)
    graph.add_node("first", first)
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    return graph.compile()


def endless() -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("again", lambda state: {})
    graph.add_edge(START, "again")
    graph.add_edge("again", "again")
    return graph.compile()


@dataclass
class Where:
    """Who asks."""

    workspace_id: str


@dataclass
class WhereAndWho(Where):
    """Who asks, and where."""

    user_id: str


def told_context(state: MessagesState, runtime: Runtime[WhereAndWho]) -> dict[str, Any]:
    return {"messages": [AIMessage(f"{runtime.context.user_id} in {runtime.context.workspace_id}")]}


def with_context() -> Any:
    graph = StateGraph(MessagesState, context_schema=WhereAndWho)
    graph.add_node("tell", told_context)
    graph.add_edge(START, "tell")
    return graph.compile()


async def look_up(state: MessagesState, runtime: Runtime[Any]) -> dict[str, Any]:
    found = await runtime.store.asearch(("workspace", "w1", "documents"), query=state["messages"][-1].text)
    return {"messages": [AIMessage(",".join(each.value["text"] for each in found))]}


async def write_down(state: MessagesState, runtime: Runtime[Any]) -> dict[str, Any]:
    await runtime.store.aput(("workspace", "w1", "documents"), "1", {"text": "mine"})
    return {}


@tool
def weather(town: str) -> str:
    """The weather in a town."""
    return f"sunny in {town}"


def call_tool(state: MessagesState) -> dict[str, Any]:
    call = {"name": state["messages"][-1].text, "args": {"town": "Ulm"}, "id": "c1", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


def with_tool() -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("decide", call_tool)
    graph.add_node("tools", ToolNode([weather]))
    graph.add_edge(START, "decide")
    graph.add_edge("decide", "tools")
    return graph.compile()


def joined(old: list[str] | None, new: list[str]) -> list[str]:
    return sorted([*(old or []), *new])


class Wide(TypedDict):
    """A state with a part that several tasks fill at once."""

    topic: str
    found: Annotated[list[str], joined]
    question: str


def inner() -> Any:
    graph = StateGraph(Wide)
    graph.add_node("look", lambda state: {"found": [f"inner {state['topic']}"]})
    graph.add_node("question", lambda state: {"question": str(interrupt("Inner?"))})
    graph.add_edge(START, "look")
    graph.add_edge("look", "question")
    return graph.compile()


def wide() -> Any:
    """A graph with a fan-out, a subgraph and a question in it."""
    graph = StateGraph(Wide)
    graph.add_node("spread", lambda state: {})
    graph.add_node("each", lambda state: {"found": [f"each {state['topic']}"]})
    graph.add_node("inner", inner())
    graph.add_edge(START, "spread")
    graph.add_conditional_edges("spread", lambda state: [Send("each", {"topic": str(n)}) for n in range(3)])
    graph.add_edge("each", "inner")
    graph.add_edge("inner", END)
    return graph.compile()


def endless_factory() -> Any:
    return endless()


saying = of_one_node(say)
failing = of_one_node(fail)
refusing = of_one_node(refuse)
failing_as_told = of_one_node(fail_as_told)
losing_model = of_one_node(lose_model)
leaving = of_one_node(leave)
leaving_in_thread = of_one_node(leave_in_thread)
waiting = of_one_node(wait)
flooding = of_one_node(flood)
bursting = of_one_node(burst)
asking = of_one_node(ask)
two_steps = of_two_steps()
contextual = with_context()
looking_up = of_one_node(look_up)
writing_down = of_one_node(write_down)
using_tool = with_tool()
broad = wide()
