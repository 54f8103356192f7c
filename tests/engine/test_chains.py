"""Chains around a model, two agents of one file, and values in questions and answers that JSON or a database can hardly hold."""

from __future__ import annotations

import asyncio
import enum
import sys
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from server.engine.graphs import AgentBroken
from server.engine.job import AgentSource
from server.engine.parts import Narrator, jsonable
from tests.engine.conftest import written
from tests.engine.opening import open_graph

HEAD = """
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from tests.graphs.agents import Counting
heard = RunnableLambda(lambda prompt: "|".join(message.text for message in prompt.to_messages()))
"""
BAD_TEXT = "a\x00b\ud83dc"


def said(source: AgentSource, *messages: str) -> list[tuple[str, str]]:
    """The streamed messages by their ids, and after them the answer."""

    async def heard() -> list[tuple[str, str]]:
        graph = await open_graph(source, {})
        spoken: dict[str, str] = {}
        answer = ("", "")
        async for mode, part in graph.astream({"messages": list(messages)}, stream_mode=["messages", "values"]):  # type: ignore[misc]
            if mode == "messages":
                spoken[part[0].id] = spoken.get(part[0].id, "") + part[0].text
            else:
                answer = (part["messages"][-1].id, part["messages"][-1].text)
        return [*spoken.items(), answer]

    return asyncio.run(heard())


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("('human', 'Q: {input}')", "Q: two"),
        ("('human', 'Q: {anything}')", "Q: two"),
        ("MessagesPlaceholder('history'), ('human', 'Q: {question}')", "one|Q: two"),
        ("MessagesPlaceholder('talk'), ('human', 'Q: {question}')", "one|Q: two"),
        ("('system', 's'), MessagesPlaceholder('messages')", "s|one|two"),
        ("('system', 's'), MessagesPlaceholder('history')", "s|one|two"),
        ("('system', 's'), MessagesPlaceholder('talk')", "s|one|two"),
    ],
)
def test_a_prompt_is_given_the_text_or_the_messages_that_it_asks_for(tmp_path: Path, prompt: str, expected: str) -> None:
    source = written(tmp_path, f"{HEAD}\ngraph = ChatPromptTemplate.from_messages([{prompt}]) | heard", agent_id=tmp_path.name)
    assert said(source, "one", "two")[-1][1] == expected


@pytest.mark.parametrize("tail", ["", " | StrOutputParser()"])
def test_what_a_chain_streams_is_the_one_message_that_it_answers_with(tmp_path: Path, tail: str) -> None:
    source = written(tmp_path, f"{HEAD}\ngraph = Counting(n=3){tail}", agent_id=tmp_path.name)
    *streamed, answer = said(source, "count")
    assert answer[1] == "1 2 3 "
    assert streamed == [answer]


def test_a_chain_that_changes_what_its_model_said_answers_with_the_changed_text(tmp_path: Path) -> None:
    source = written(tmp_path, f"{HEAD}\ngraph = Counting(n=3) | StrOutputParser() | RunnableLambda(str.strip)", agent_id=tmp_path.name)
    assert said(source, "count")[-1][1] == "1 2 3"


def test_two_agents_of_one_file_use_the_classes_that_a_checkpoint_finds(tmp_path: Path) -> None:
    code = f"{HEAD}\nclass Kind: pass\nKinds = []\ndef graph():\n    Kinds.append(Kind)\n    return heard\nother = graph"
    first = written(tmp_path, code, agent_id=f"{tmp_path.name}-first")
    second = AgentSource(f"{tmp_path.name}-second", first.graph.replace(":graph", ":other"), first.folder)
    for source in (first, second, first):
        asyncio.run(open_graph(source, {}))
    module = next(each for name, each in list(sys.modules.items()) if getattr(each, "__file__", None) == str(tmp_path / "agent.py"))
    assert module.__dict__["Kinds"] == [module.__dict__["Kind"]] * 3


def test_a_file_that_cannot_be_imported_leaves_no_half_of_a_module(tmp_path: Path) -> None:
    with pytest.raises(AgentBroken):
        asyncio.run(open_graph(written(tmp_path, "half = 1\nraise ValueError", agent_id=tmp_path.name), {}))
    assert str(tmp_path / "agent.py") not in {getattr(each, "__file__", None) for each in list(sys.modules.values())}


def test_a_model_may_call_a_tool_by_a_name_that_no_database_can_hold() -> None:
    call = {"type": "tool_call", "name": BAD_TEXT, "args": {}, "id": "c1"}
    heard = list(Narrator(uuid.uuid4(), "desk").tell("tasks", {"id": "t1", "name": "tools", "input": [call]}))
    assert heard[0][1]["name"] == "ab?c"
    assert orjson.dumps(heard[0][1])


class Model(BaseModel):
    """Checked data."""

    name: str


class Colour(enum.Enum):
    """One of a few."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Model(name="a\x00"), {"name": "a"}),
        (frozenset({"x"}), ["x"]),
        (Colour.RED, "red"),
        ([float("nan"), float("inf")], [None, None]),
    ],
)
def test_data_of_every_kind_becomes_json_that_a_database_can_hold(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected


def test_a_message_in_a_question_holds_no_text_that_a_database_cannot() -> None:
    assert jsonable({"message": HumanMessage(BAD_TEXT)})["message"]["kwargs"]["content"] == "ab?c"


def test_an_agent_is_told_the_fields_of_its_context_and_of_the_class_above_it(begin: Any, tmp_path: Path) -> None:
    code = """
from dataclasses import dataclass
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
@dataclass
class Where:
    workspace_id: str
@dataclass
class WhereAndWho(Where):
    user_id: str
def tell(state, runtime):
    return {"messages": [AIMessage(f"{runtime.context.user_id} in {runtime.context.workspace_id}")]}
graph = StateGraph(MessagesState, context_schema=WhereAndWho).add_node(tell).add_edge(START, "tell").compile()
"""
    told = {"workspace_id": "w1", "user_id": "u1", "chat_id": "c1"}
    outcome = begin(written(tmp_path, code, agent_id=tmp_path.name), context=told).outcome()
    assert outcome.output is not None, outcome
    assert outcome.output["content"] == "u1 in w1"
