"""Who is meant by a message, and what the one who is meant is given to read."""

from __future__ import annotations

import pytest

from server.chats.rules import NAME_CHARS, Said, addressed, heard, name_of, spoken

TEAM = ["echo", "web-search", "Planner", "a.b"]


@pytest.mark.parametrize(
    ("content", "agent_id", "read"),
    [
        ("hello", "echo", "hello"),
        ("@planner make a plan", "Planner", "make a plan"),
        ("@Planner, make a plan", "Planner", "make a plan"),
        ("@planner: make a plan", "Planner", "make a plan"),
        ("  @web-search rain", "web-search", "rain"),
        ("what would @planner say?", "Planner", "what would @planner say?"),
        ("ask @planner.", "Planner", "ask @planner."),
        ("@a.b go", "a.b", "go"),
        ("@nobody @planner hi", "Planner", "@nobody @planner hi"),
        ("@nobody hi", "echo", "@nobody hi"),
        ("mail to me@planner", "echo", "mail to me@planner"),
        ("@@planner hi", "echo", "@@planner hi"),
        ("@planner", "Planner", "@planner"),
        ("@planners hi", "echo", "@planners hi"),
        ("@planner\nline two", "Planner", "line two"),
    ],
)
def test_a_name_after_an_at_picks_the_agent(content: str, agent_id: str, read: str) -> None:
    found = addressed(content, TEAM, "echo")
    assert (found.agent_id, found.content.strip()) == (agent_id, read)


def test_without_a_name_the_coordinator_is_meant_if_there_is_one() -> None:
    assert addressed("hello", TEAM, None).agent_id is None
    assert addressed("@planner hello", TEAM, None).agent_id == "Planner"


def test_an_agent_is_given_what_was_said_to_and_by_others_then_what_is_said_to_it() -> None:
    missed = [Said("user", "echo", "What is 2 + 2?"), Said("assistant", "echo", "4")]
    assert heard(missed, "Is that right?") == [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "user", "content": "[echo answered] 4"},
        {"role": "user", "content": "Is that right?"},
    ]


def test_a_name_is_one_short_line() -> None:
    assert name_of(" a\n b ") == "a b"
    assert len(name_of("word " * 100)) <= NAME_CHARS
    assert name_of("word " * 100).endswith("…")


def test_what_was_said_last_is_the_text_of_the_last_message() -> None:
    happened = [
        (1, "run", {"status": "running"}),
        (2, "token", {"message_id": "a", "delta": "first "}),
        (3, "token", {"message_id": "b", "delta": "Hel"}),
        (4, "token", {"message_id": "b", "delta": "lo"}),
    ]
    assert spoken(happened) == ("b", "Hello")


def test_superseded_tokens_are_not_part_of_what_was_said() -> None:
    happened = [
        (1, "token", {"message_id": "a", "delta": "kept "}),
        (2, "token", {"message_id": "b", "delta": "lost"}),
        (3, "run", {"status": "running", "attempt": 2, "supersedes": 2}),
        (4, "token", {"message_id": "c", "delta": "new"}),
    ]
    assert spoken(happened) == ("c", "new")
    assert spoken(happened[:3]) == ("a", "kept ")


def test_a_run_without_tokens_has_said_nothing() -> None:
    assert spoken([(1, "run", {"status": "running"})]) is None
