"""How an agent is tested without a server: LangGraph's own memory in place of the server's, and a thread of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from desk import graph
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

CONFIG = {"configurable": {"thread_id": "t1"}}
CONTEXT = {"workspace_id": "w1"}


@pytest.fixture
def desk() -> Any:
    """The desk in a workspace with one document."""
    store = InMemoryStore()
    store.put(("workspace", "w1", "documents"), "1", {"text": "Umbrellas are kept for a year.", "document": "rules.md", "coverage": 1.0})
    return graph.copy({"checkpointer": InMemorySaver(), "store": store})


def say(desk: Any, text: str) -> dict[str, Any]:
    return asyncio.run(desk.ainvoke({"messages": [("user", text)]}, CONFIG, context=CONTEXT))


def decide(desk: Any, answer: str) -> dict[str, Any]:
    return asyncio.run(desk.ainvoke(Command(resume=answer), CONFIG, context=CONTEXT))


def test_an_answer_names_its_document(desk):
    assert say(desk, "How long are umbrellas kept?")["messages"][-1].text == "Umbrellas are kept for a year. (rules.md)"


def test_a_report_is_filed_once_the_person_agrees(desk):
    asked = say(desk, "report a red umbrella")
    assert asked["__interrupt__"][0].value == {"question": "File “a red umbrella”?", "choices": ["yes", "no"]}
    assert "reports" not in asked
    assert decide(desk, "yes")["reports"] == ["a red umbrella"]


def test_a_report_is_not_filed_against_the_persons_will(desk):
    say(desk, "report a red umbrella")
    assert decide(desk, "no")["messages"][-1].text == "Then I file nothing."


def test_the_reports_of_a_conversation_are_counted(desk):
    for number, what in enumerate(("a glove", "a hat"), start=1):
        say(desk, f"report {what}")
        assert decide(desk, "yes")["messages"][-1].text.endswith(f"filed as number {number}.")
