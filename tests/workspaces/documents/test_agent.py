"""The documents agent as it is shipped, over documents in memory."""

import importlib.util
import json
import types
from pathlib import Path
from typing import Any

import pytest

from benchmarks.documents.library import Library

PACKAGE = Path(__file__).parents[3] / "server" / "bundled" / "documents"

GUIDE = """# Guide

## Start

Start the server with one command:

```bash
make run
```

It prints one address. Open that in a browser.

## Limits

A workspace takes 500 documents. Each may have 10 MB; a larger one is refused.

## Settings

| Setting | Default | Meaning |
|---|---|---|
| PORT | 8000 | port of the web server |
| DATA_DIR | data/ | folder of all that is kept |

## Backup

A backup is one file. Restore it with `parley restore`.
"""


def agent() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("shipped_documents_agent", PACKAGE / "agent.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def library(**texts: str) -> Library:
    made = Library([])
    for name, text in texts.items():
        made.add(f"{name}.md", text.encode())
    return made


async def ask(*questions: str, store: Library | None = None) -> Any:
    """The answer to the last of the questions, in a conversation."""
    graph = agent().graph.builder.compile(store=library(guide=GUIDE) if store is None else store)
    state: dict[str, Any] = {"messages": []}
    for question in questions:
        state = await graph.ainvoke({"messages": [*state["messages"], ("user", question)]}, context={"workspace_id": "here"})
    return state["messages"][-1]


def run(coroutine: Any) -> Any:
    import asyncio

    return asyncio.run(coroutine)


def test_the_package_says_what_it_is() -> None:
    manifest = json.loads((PACKAGE / "agent.json").read_text())

    assert manifest["agents"][0]["agent_id"] == "documents"
    assert manifest["agents"][0]["needs"] == []
    path, name = manifest["agents"][0]["graph"].split(":")
    assert (PACKAGE / path).is_file()
    assert hasattr(agent(), name)


def test_an_answer_is_the_sentence_that_answers_with_its_source() -> None:
    said = run(ask("How many documents may a workspace hold?"))

    assert said.text.startswith("A workspace takes 500 documents. [1]")
    assert said.text.endswith("**Sources**\n\n- [1] guide.md › Guide › Limits")


def test_an_answer_carries_its_citations() -> None:
    (citation,) = run(ask("How many documents may a workspace hold?")).additional_kwargs["citations"]

    assert citation == {"document": "guide.md", "document_id": "guide.md", "heading": "Guide › Limits", "page": None, "position": 1}


def test_code_comes_with_the_sentence_that_leads_in_to_it() -> None:
    said = run(ask("How do I start the server?")).text

    assert "Start the server with one command:" in said
    assert "```bash\nmake run\n```" in said


def test_a_table_is_answered_with_the_row_and_its_head() -> None:
    said = run(ask("Which port does the web server use by default?")).text

    assert "| Setting | Default | Meaning |\n|---|---|---|\n| PORT | 8000 | port of the web server |" in said
    assert "DATA_DIR" not in said


@pytest.mark.parametrize(
    "question",
    [
        "What does the enterprise licence cost?",
        "How do I connect the server to LDAP?",
        "Who won the world cup?",
        "How do I start the server on Kubernetes?",
        "xylophone",
    ],
)
def test_what_the_documents_do_not_hold_is_said_plainly(question: str) -> None:
    said = run(ask(question))

    assert said.text == agent().NOT_FOUND
    assert said.additional_kwargs["citations"] == []


def test_without_documents_it_says_how_to_add_some() -> None:
    assert run(ask("How do I start?", store=library())).text == agent().NO_DOCUMENTS


def test_a_question_that_leans_on_the_one_before_is_understood() -> None:
    said = run(ask("What is a backup?", "And how do I restore it?")).text

    assert "parley restore" in said


@pytest.mark.parametrize("question", ["And what does it cost in euros?", "and who maintains the moon?"])
def test_a_question_that_only_leans_on_one_that_was_answered_is_refused(question: str) -> None:
    assert run(ask("What is a backup?", question)).text == agent().NOT_FOUND


def test_a_question_without_words_of_its_own_asks_for_the_topic_again() -> None:
    assert "A backup is one file." in run(ask("What is a backup?", "And what is that?")).text


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        (["What is a run?"], "What is a run?"),
        (["What is a run?", "How long may it take?"], "How long may it take? What is a run?"),
        (["What is a run?", "Why?"], "Why? What is a run?"),
        (["What is a run?", "And how long may it take?", "why not?"], "why not? And how long may it take? What is a run?"),
        (["What is a run?", "Is there a limit for documents?"], "Is there a limit for documents?"),
        (["What is a run?", "How large may a document of a workspace be?"], "How large may a document of a workspace be?"),
    ],
)
def test_the_topic_of_a_question(asked: list[str], query: str) -> None:
    assert agent().with_topic(asked) == query


def test_asked_for_its_documents_it_names_them() -> None:
    said = run(ask("Which documents do you have?", store=library(guide=GUIDE, notes="Words."))).text

    assert said == "This workspace holds:\n\n- guide.md\n- notes.md"


def test_a_greeting_is_no_question() -> None:
    assert run(ask("Hello!")).text == agent().HELLO


def test_the_answer_streams_word_by_word_and_the_words_are_the_answer() -> None:
    async def tokens() -> tuple[list[str], str]:
        graph = agent().graph.builder.compile(store=library(guide=GUIDE))
        pieces: list[str] = []
        async for mode, part in graph.astream(
            {"messages": [("user", "How do I start the server?")]}, context={"workspace_id": "here"}, stream_mode=["messages", "values"]
        ):
            if mode == "messages":
                pieces.append(part[0].text)
            else:
                last = part["messages"][-1].text
        return pieces, last

    pieces, answer = run(tokens())

    assert len([piece for piece in pieces if piece]) > 10
    assert "".join(pieces) == answer


def test_two_passages_that_say_as_much_are_both_quoted() -> None:
    store = library(a="# A\n\nThe lighthouse is painted in spring.", b="# B\n\nThe lighthouse is painted by the harbour master.")

    said = run(ask("When is the lighthouse painted?", store=store))

    assert [each["document"] for each in said.additional_kwargs["citations"]] in (["a.md", "b.md"], ["b.md", "a.md"])
    assert "[1]" in said.text
    assert "[2]" in said.text


def test_a_source_names_its_page() -> None:
    value = {"document": "guide.pdf", "heading": "Limits", "page": 3}

    assert agent()._source(value) == "guide.pdf › Limits, page 3"


def test_without_a_workspace_there_are_no_documents() -> None:
    async def said() -> str:
        state = await agent().graph.ainvoke({"messages": [("user", "How do I start the server?")]})
        return str(state["messages"][-1].text)

    assert run(said()) == agent().NO_DOCUMENTS
