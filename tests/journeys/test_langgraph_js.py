"""LangChain's JavaScript client, unmodified: every method of its nouns, where Node.js is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.journeys.javascript import installed, needs_npm, told
from tests.stack import Stack
from tests.talk import Person

FOLDER = Path(__file__).parent / "langgraph_js"

pytestmark = needs_npm


@pytest.fixture(scope="module")
def said(agents: Stack) -> Any:
    """What came of every method."""
    person = Person(agents.base_url)
    return told(installed(FOLDER), "client.js", person.base_url, person.tokens["access_token"])


def test_every_method_of_the_client_was_called(said: Any) -> None:
    assert said["untold"] == {"assistants": [], "threads": [], "runs": [], "crons": [], "store": []}


def test_assistants_are_made_changed_found_and_deleted(said: Any) -> None:
    changed = {"name": "Kinder", "metadata": {"by": "js", "more": 1}, "version": 2}
    assert said["assistant"] == {**changed, "versions": [2, 1], "latest": "Kind", "found": 1}
    assert (said["counted"], said["deleted"]) == (1, 404)
    assert (said["nodes"], said["schemas"], said["subgraphs"]) == (["__start__", "answer", "__end__"], ["messages"], {})


def test_threads_have_states_copies_and_listeners(said: Any) -> None:
    assert (said["states"], said["earlier"], said["thread"]) == (4, ["n=2", "1 2 "], [1, 1])
    assert said["searched"] == [{"thread_id": "js-thread"}]
    assert said["joined"] == ["metadata", "values", "values", "metadata"]
    assert (said["pruned"], said["gone"], said["streamed"]) == (1, 404, 2)


def test_runs_are_streamed_joined_replayed_and_stopped(said: Any) -> None:
    assert said["heard"] == ["metadata", "end", "1 2 3 "]
    assert (said["noted"], said["left"], said["replayed"], said["byId"]) == (True, "1 2 3 4 ", True, True)
    assert set(said["values"]) >= {"values"}
    assert (said["listed"], said["status"], said["cancelled"], said["forgotten"]) == (2, "success", "interrupted", 404)
    assert (said["batch"], said["alone"], said["question"]) == (["1 ", "1 2 "], "1 ", "Which colour?")


def test_crons_and_items_are_kept(said: Any) -> None:
    assert (said["crons"], said["paused"]) == ([1, 1], False)
    assert said["item"] == [{"likes": "pizza"}, True, 1, [["js", "notes"]], None]
