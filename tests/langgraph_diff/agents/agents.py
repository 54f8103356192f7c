"""Agents that two servers carry out alike: no model, no network, the same answer each time.

Annotations stay real objects here: a module loaded by its path is not found by name when one is resolved later.
"""

import asyncio
import itertools
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt


class Asked(TypedDict, total=False):
    """State of an agent that asks a person."""

    question: str
    answers: Annotated[list[Any], operator.add]


class Steps(TypedDict, total=False):
    """State of an agent that leaves a trail."""

    name: str
    trail: Annotated[list[str], operator.add]


class Nap(TypedDict, total=False):
    """State of an agent that takes its time."""

    seconds: float
    trail: Annotated[list[str], operator.add]


class Tone(TypedDict, total=False):
    """What a caller may say besides the input."""

    tone: str


def _echo(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(content=f"You said: {state['messages'][-1].content}")]}


async def _speak(state: MessagesState) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage(content="one two three", id="run-fake")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


def _ask(state: Asked) -> Asked:
    return {"answers": [interrupt({"question": state.get("question", "?")})]}


def _left(state: Asked) -> Asked:
    return {"answers": [interrupt("left?")]}


def _right(state: Asked) -> Asked:
    return {"answers": [interrupt("right?")]}


def _done(state: Asked) -> Asked:
    return {"answers": ["done"]}


def _a(state: Steps) -> Steps:
    get_stream_writer()({"progress": "a"})
    return {"trail": ["a"]}


def _b(state: Steps) -> Steps:
    get_stream_writer()("plain text")
    return {"trail": ["b"]}


def _c(state: Steps) -> Steps:
    return {"trail": ["c"], "name": f"c:{state.get('name', '')}"}


def _fail(state: Steps) -> Steps:
    raise ValueError("It broke.")


async def _nap(state: Nap) -> Nap:
    await asyncio.sleep(state.get("seconds", 0.1))
    return {"trail": ["nap"]}


def _rest(state: Nap) -> Nap:
    return {"trail": ["rested"]}


def _row(state: type, *nodes: tuple[str, Any], context: type | None = None) -> StateGraph:
    """A graph whose nodes follow each other."""
    graph = StateGraph(state, context_schema=context)
    names = [START, *(name for name, _ in nodes), END]
    for name, node in nodes:
        graph.add_node(name, node)
    for before, after in itertools.pairwise(names):
        graph.add_edge(before, after)
    return graph


echo = _row(MessagesState, ("answer", _echo)).compile()
fake = _row(MessagesState, ("model", _speak)).compile()
ask = _row(Asked, ("ask", _ask), ("done", _done)).compile()
twoasks = StateGraph(Asked).add_node("left", _left).add_node("right", _right).add_edge(START, "left").add_edge(START, "right").compile()
steps = _row(Steps, ("a", _a), ("b", _b), ("c", _c), context=Tone).compile()
sub = _row(Steps, ("before", _a), ("child", _row(Steps, ("inner", _b)).compile())).compile()
subask = _row(Asked, ("child", _row(Asked, ("inner", _left)).compile())).compile()
failing = _row(Steps, ("ok", _a), ("fail", _fail)).compile()
slow = _row(Nap, ("nap", _nap), ("rest", _rest)).compile()
