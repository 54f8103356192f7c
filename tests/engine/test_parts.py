"""From stream parts to events, and from states to answers."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import orjson
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langgraph.types import Interrupt
from pydantic import BaseModel

from server.engine.parts import MAX_DELTA_CHARS, Narrator, answer_in, clean, interrupts_in, jsonable, kept_message_ids, message_id

RUN = uuid.UUID("01920000-0000-7000-8000-000000000001")


@pytest.fixture
def narrator() -> Narrator:
    return Narrator(RUN, "mine")


def told(narrator: Narrator, mode: str, part: Any) -> list[tuple[str, dict[str, Any]]]:
    return list(narrator.tell(mode, part))


def begins(name: str, step_id: str = "1", step_input: Any = None) -> dict[str, Any]:
    return {"id": step_id, "name": name, "input": step_input, "triggers": []}


def ends(step_id: str = "1") -> dict[str, Any]:
    return {"id": step_id, "name": "whatever", "result": {}, "error": None, "interrupts": []}


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_what_the_model_says_is_a_token_of_its_message(narrator: Narrator) -> None:
    about = {"run_id": str(RUN), "agent_id": "mine", "message_id": message_id(RUN, "m1")}
    assert told(narrator, "messages", (AIMessageChunk("hello", id="m1"), {})) == [("token", {**about, "delta": "hello"})]
    assert narrator.said_chars == 5


@pytest.mark.parametrize("message", [HumanMessage("mine"), ToolMessage("a result", tool_call_id="1"), AIMessageChunk("")])
def test_nobody_elses_words_and_no_empty_ones_are_tokens(narrator: Narrator, message: Any) -> None:
    assert told(narrator, "messages", (message, {})) == []


def test_text_is_found_in_blocks(narrator: Narrator) -> None:
    blocks = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}]
    assert [data["delta"] for _, data in told(narrator, "messages", (AIMessageChunk(blocks), {}))] == ["so"]


def test_a_long_text_is_said_in_pieces_that_lose_nothing(narrator: Narrator) -> None:
    text = "".join(str(number % 10) for number in range(2 * MAX_DELTA_CHARS + 5))
    pieces = [data["delta"] for _, data in told(narrator, "messages", (AIMessage(text), {}))]
    assert [len(piece) for piece in pieces] == [MAX_DELTA_CHARS, MAX_DELTA_CHARS, 5]
    assert "".join(pieces) == text


@pytest.mark.parametrize(("text", "kept"), [("a\x00b", "ab"), ("half \ud83d pair", "half ? pair"), ("whole 😀", "whole 😀"), ("", "")])
def test_text_is_cleaned_of_what_neither_database_nor_json_can_hold(text: str, kept: str) -> None:
    assert clean(text) == kept
    orjson.dumps(clean(text))


# -- steps -------------------------------------------------------------------------------------------------------------


def test_a_step_has_the_same_name_at_its_beginning_and_its_end(narrator: Narrator) -> None:
    assert [data["phase"] for _, data in told(narrator, "tasks", begins("search")) + told(narrator, "tasks", ends())] == ["start", "end"]
    assert told(narrator, "tasks", ends()) == []


@pytest.mark.parametrize("step_input", [[{"type": "tool_call", "name": "weather", "args": {}}], {"tool_call": {"name": "weather"}}])
def test_a_step_of_tools_is_named_for_its_tool(narrator: Narrator, step_input: Any) -> None:
    begun, ended = told(narrator, "tasks", begins("tools", step_input=step_input)) + told(narrator, "tasks", ends())
    assert (begun[1]["name"], ended[1]["name"]) == ("weather", "weather")


@pytest.mark.parametrize("name", ["__start__", "__interrupt__", "Summary.before_model", "Approval.after_agent"])
def test_steps_that_the_library_adds_are_not_told(narrator: Narrator, name: str) -> None:
    assert told(narrator, "tasks", begins(name)) + told(narrator, "tasks", ends()) == []


# -- questions ---------------------------------------------------------------------------------------------------------


def test_questions_have_their_ids_and_values() -> None:
    update = {"__interrupt__": (Interrupt(value={"q": 1}, id="a"), Interrupt(value="two", id="b"))}
    assert interrupts_in(update) == [{"id": "a", "value": {"q": 1}}, {"id": "b", "value": "two"}]


@pytest.mark.parametrize("update", [{"node": {}}, {"__interrupt__": ()}, None, "text"])
def test_an_update_that_asks_nothing_has_no_questions(update: Any) -> None:
    assert interrupts_in(update) == []


class Model(BaseModel):
    name: str


@dataclasses.dataclass
class Odd:
    def __str__(self) -> str:
        return "odd \ud800"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: {2}}, {"1": [2]}),
        (Model(name="x"), {"name": "x"}),
        (Odd(), "odd ?"),
        ([1.5, True, None, ("a",)], [1.5, True, None, ["a"]]),
        (2**70, str(2**70)),
        (-(2**70), str(-(2**70))),
        ("\ud800\x00", "?"),
        ({"\ud800": 1}, {"?": 1}),
    ],
)
def test_any_value_becomes_one_that_json_takes(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected
    orjson.dumps(jsonable(value))


def test_a_message_in_a_question_keeps_its_form() -> None:
    assert jsonable([AIMessage("x")])[0]["id"][-1] == "AIMessage"


# -- answers -----------------------------------------------------------------------------------------------------------


def test_the_answer_is_what_the_agent_said_last() -> None:
    messages = [HumanMessage("?"), AIMessage("first", id="1"), ToolMessage("r", tool_call_id="t"), AIMessage("last", id="2")]
    assert answer_in(RUN, {"messages": messages}) == {"message_id": message_id(RUN, "2"), "content": "last"}


def test_what_was_said_before_the_humans_last_words_is_no_answer() -> None:
    assert answer_in(RUN, {"messages": [HumanMessage("1"), AIMessage("old"), HumanMessage("2")]})["content"] == ""


@pytest.mark.parametrize(
    ("values", "content"),
    [
        ({"output": "o", "x": 1}, "o"),
        ({"answer": "a"}, "a"),
        ({"result": {"n": 1}}, '{\n  "n": 1\n}'),
        ({"n": 1}, '{\n  "n": 1\n}'),
        ("text", "text"),
        (None, "null"),
        ({"messages": []}, ""),
    ],
)
def test_a_graph_without_messages_answers_with_its_state(values: Any, content: str) -> None:
    assert answer_in(RUN, values)["content"] == content


def test_the_messages_that_a_checkpoint_holds_are_known_by_their_ids() -> None:
    assert kept_message_ids(RUN, {"messages": [AIMessage("x", id="1"), "no message"]}) == [message_id(RUN, "1")]
    assert kept_message_ids(RUN, {}) == kept_message_ids(RUN, None) == []
