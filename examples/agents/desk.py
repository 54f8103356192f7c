"""A lost-property desk: small enough to read at once, and without a model.

It answers from the documents of its workspace. On `report <what was found>` it asks before it files, and it remembers what was
filed in this conversation.
"""

from __future__ import annotations

import os
from typing import Any, Literal, TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt


class Desk(MessagesState):
    """What is kept of a conversation, from one message to the next."""

    reports: list[str]


class Context(TypedDict):
    """What the server says of the run."""

    workspace_id: str


def sort(state: Desk) -> Command[Literal["look_up", "file"]]:
    """Send the message to where it is dealt with."""
    is_report = state["messages"][-1].text.lower().startswith("report ")
    return Command(goto="file" if is_report else "look_up")


async def look_up(state: Desk, runtime: Runtime[Context]) -> dict[str, Any]:
    """Answer from the documents, or say that they do not hold the answer."""
    place = ("workspace", runtime.context["workspace_id"], "documents")
    found = await runtime.store.asearch(place, query=state["messages"][-1].text, limit=1)
    if not found or found[0].value["coverage"] < 0.5:
        return {"messages": [AIMessage("Nothing is written about that here.")]}
    passage = found[0].value
    return {"messages": [AIMessage(f"{passage['text']} ({passage['document']})")]}


def file(state: Desk) -> dict[str, Any]:
    """File a report, if the person agrees."""
    report = state["messages"][-1].text[len("report ") :]
    answer = interrupt({"question": f"File “{report}”?", "choices": ["yes", "no"]})
    if answer != "yes":
        return {"messages": [AIMessage("Then I file nothing.")]}
    reports = [*state.get("reports", []), report]
    name = os.environ.get("DESK_NAME", "Desk")
    return {"reports": reports, "messages": [AIMessage(f"{name}: filed as number {len(reports)}.")]}


graph = StateGraph(Desk, context_schema=Context).add_node(sort).add_node(look_up).add_node(file).add_edge(START, "sort").compile()
