"""Graphs whose state can be followed: steps that leave a trail, questions, subgraphs, a failure; for tests alone."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt


class Steps(TypedDict, total=False):
    """A name, and what was done in order."""

    name: str
    trail: Annotated[list[str], operator.add]


class Asked(TypedDict, total=False):
    """What was asked, and what was answered."""

    question: str
    answers: Annotated[list[Any], operator.add]


def _steps() -> Any:
    graph = StateGraph(Steps)
    for name in "abc":
        graph.add_node(name, lambda state, name=name: {"trail": [name]})
    return graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c").add_edge("c", END).compile()


def _ask(state: Asked) -> Asked:
    return {"answers": [interrupt({"question": state.get("question", "?")})]}


def _ask_twice(state: Asked) -> Asked:
    return {"answers": [interrupt("first?"), interrupt("second?")]}


def _asks(**nodes: Any) -> Any:
    graph = StateGraph(Asked)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
    return graph.compile()


def _inner() -> Any:
    return _asks(inner=lambda state: {"answers": [interrupt("from inside?")]})


def _fail(state: Steps) -> Steps:
    raise ValueError("a secret that no client may read")


def _failing() -> Any:
    graph = StateGraph(Steps).add_node("ok", lambda state: {"trail": ["ok"]}).add_node("fail", _fail)
    return graph.add_edge(START, "ok").add_edge("ok", "fail").compile()


def _echo(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("You said: " + str(state["messages"][-1].content))]}


steps = _steps()
ask = _asks(ask=_ask)
twoasks = _asks(left=lambda state: {"answers": [interrupt("left?")]}, right=lambda state: {"answers": [interrupt("right?")]})
asktwice = _asks(ask=_ask_twice)
subask = _asks(child=_inner())
failing = _failing()
echo = StateGraph(MessagesState).add_node("answer", _echo).add_edge(START, "answer").compile()
