"""Graphs that programs drive under load and while processes die: each step leaves a trail in the state; for tests alone."""

from __future__ import annotations

import asyncio
import operator
import os
from typing import Annotated, Any, TypedDict

from agents import Counting
from langchain_core.messages import AIMessageChunk, AnyMessage, message_chunk_to_message
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class Voyage(TypedDict, total=False):
    """What was said, each step once, and in which process."""

    n: int
    delay: float
    messages: Annotated[list[AnyMessage], add_messages]
    trail: Annotated[list[str], operator.add]
    pids: Annotated[list[int], operator.add]


def _leg(name: str) -> Any:
    async def leg(state: Voyage) -> Voyage:
        model = Counting(n=state.get("n", 3), delay=state.get("delay", 0.0), prefix=name)
        said = AIMessageChunk("")
        async for chunk in model.astream(state.get("messages", []) or "go"):
            said += chunk
        return {"messages": [message_chunk_to_message(said)], "trail": [name], "pids": [os.getpid()]}

    return leg


def _line(*names: str) -> Any:
    graph = StateGraph(Voyage)
    for name in names:
        graph.add_node(name, _leg(name))
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


def _voyage() -> Any:
    """Out, two ways at once, a graph of its own, and home."""
    island = _line("shore", "hill").compile()

    async def visit(state: Voyage) -> Voyage:
        seen = await island.ainvoke({"n": state.get("n", 3), "delay": state.get("delay", 0.0), "trail": []})
        return {"messages": seen["messages"], "trail": seen["trail"], "pids": seen["pids"]}

    graph = StateGraph(Voyage)
    for name in ("out", "east", "west", "home"):
        graph.add_node(name, _leg(name))
    graph.add_node("island", visit)
    graph.add_edge(START, "out")
    graph.add_edge("out", "east")
    graph.add_edge("out", "west")
    graph.add_edge(["east", "west"], "island")
    graph.add_edge("island", "home")
    graph.add_edge("home", END)
    return graph.compile()


class Diary(TypedDict, total=False):
    """Who began and who ended, in order."""

    who: str
    pause: float
    lines: Annotated[list[str], operator.add]


async def _open(state: Diary) -> Diary:
    return {"lines": [f"{state['who']} began"]}


async def _close(state: Diary) -> Diary:
    await asyncio.sleep(state.get("pause", 0.0))
    return {"lines": [f"{state['who']} ended"]}


def _diary() -> Any:
    graph = StateGraph(Diary).add_node("open", _open).add_node("close", _close)
    return graph.add_edge(START, "open").add_edge("open", "close").add_edge("close", END).compile()


class Errand(TypedDict, total=False):
    """What somebody has allowed, and what was done then."""

    what: str
    done: Annotated[list[str], operator.add]


def _errand() -> Any:
    """Prepares, asks whether it may, and does it."""
    graph = StateGraph(Errand)
    graph.add_node("prepare", lambda state: {"done": ["prepared"]})
    graph.add_node("ask", lambda state: {"done": [f"allowed: {interrupt({'may I': state.get('what', '?')})}"]})
    graph.add_node("act", lambda state: {"done": ["acted"]})
    return graph.add_edge(START, "prepare").add_edge("prepare", "ask").add_edge("ask", "act").add_edge("act", END).compile()


class Flood(TypedDict, total=False):
    """How much to say, and how much was said."""

    n: int
    said: int


async def _pour(state: Flood) -> Flood:
    say = get_stream_writer()
    for number in range(state["n"]):
        say({"drop": number})
        if number % 500 == 0:
            await asyncio.sleep(0)
    return {"said": state["n"]}


voyage = _voyage()
diary = _diary()
errand = _errand()
flood = StateGraph(Flood).add_node("pour", _pour).add_edge(START, "pour").add_edge("pour", END).compile()
