"""An agent's values as JSON: what clients of LangGraph know, and nothing that a database or a reader refuses."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import re
import uuid
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Interrupt, PregelTask, Send, StateSnapshot

from server.engine.wire import checkpoint_named, jsonable, question, questions, to_json

SECRET = "postgres://user:word@host"


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Note:
    text: str
    tags: set[str]


class Odd:
    def __str__(self) -> str:
        return "an odd one"


class Refused(Exception):
    public_message = "Come back tomorrow."


TOLD: tuple[tuple[Any, Any], ...] = (
    (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
    (dt.timedelta(minutes=1), 60.0),
    (decimal.Decimal("1.50"), "1.50"),
    (pathlib.PurePosixPath("a/b"), "a/b"),
    (re.compile("a+"), "a+"),
    (b"caf\xc3\xa9 \xff", "café \ufffd"),
    (2**70, str(2**70)),
    (float("nan"), None),
    ({1: "one", None: "none"}, {"1": "one", "null": "none"}),
    ({7}, [7]),
    (collections.deque([1, 2]), [1, 2]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (Colour.RED, "red"),
    (Point(1, 2), {"x": 1, "y": 2}),
    (Note("n", {"t"}), {"text": "n", "tags": ["t"]}),
    (Send("work", {"n": 1}), {"node": "work", "arg": {"n": 1}}),
    (Odd(), "an odd one"),
    (Odd, "Odd"),
)


@pytest.mark.parametrize(("value", "told"), TOLD, ids=lambda value: type(value).__name__)
def test_what_json_does_not_know_is_told_in_its_words(value: Any, told: Any) -> None:
    assert jsonable({"it": value}) == {"it": told}


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d of a pair", "\ud83d\x00"])
@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: {text: 1}, lambda text: [Note(text, set())]])
def test_no_text_is_left_that_a_database_refuses(text: str, wrap: Any) -> None:
    told = to_json(wrap(text)).decode()
    assert "\\u0000" not in told
    assert "\\ud83d" not in told


def test_what_is_nested_without_end_is_cut_off() -> None:
    endless: dict[str, Any] = {}
    endless["inside"] = endless
    assert to_json(endless).count(b"inside") > 100


def test_a_message_keeps_what_clients_read() -> None:
    told = jsonable([HumanMessage("hi", id="1"), AIMessage("ho", id="2")])
    assert [(each["type"], each["content"], each["id"]) for each in told] == [("human", "hi", "1"), ("ai", "ho", "2")]


def test_an_exception_is_told_by_its_class_and_not_in_its_words() -> None:
    assert jsonable(ValueError(SECRET)) == {"error": "ValueError", "message": "The agent failed (ValueError)."}


def test_an_exception_that_was_written_for_clients_is_told_in_its_words() -> None:
    assert jsonable(Refused(SECRET)) == {"error": "Refused", "message": "Come back tomorrow."}


# -- checkpoints and questions -----------------------------------------------------------------------------------------


def test_a_checkpoint_is_named_by_nothing_but_its_name() -> None:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c", "langgraph_auth_user": SECRET}}
    assert checkpoint_named(config) == {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}
    assert checkpoint_named(None) is None


def test_a_question_says_what_its_answer_looks_like_where_the_agent_does() -> None:
    assert question(Interrupt("why?", id="q")) == {"id": "q", "value": "why?"}
    asked = Interrupt("why?", id="q", response_schema={"type": "string"})
    assert question(asked) == {"id": "q", "value": "why?", "response_schema": {"type": "string"}}


def test_each_open_question_says_who_asks() -> None:
    tasks = tuple(PregelTask(f"id {name}", name, (), interrupts=(Interrupt(Odd(), id=f"q {name}"),)) for name in ("left", "right"))
    snapshot = StateSnapshot({}, ("left", "right"), {}, None, None, None, tasks, ())
    assert questions(snapshot) == [
        {"id": f"q {name}", "value": "an odd one", "task_id": f"id {name}", "node": name} for name in ("left", "right")
    ]
