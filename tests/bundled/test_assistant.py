from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path

import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelRateLimitError,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from server.engine.failures import RECURSION_LIMIT
from tests.scripted_model import KEY_REFUSED, SUMMARY

assistant_model = importlib.import_module("assistant_model")

MANIFEST = Path(__file__).parents[2] / "server" / "bundled" / "assistant" / "agent.json"
APPROVED = {"decisions": [{"type": "approve"}]}
FETCH = "fetch http://127.0.0.1:9/secret"


def results(conversation) -> list[str]:
    return [message.text for message in conversation.messages if isinstance(message, ToolMessage)]


def open_calls(conversation) -> set[str]:
    asked = {call["id"] for message in conversation.messages if isinstance(message, AIMessage) for call in message.tool_calls}
    return asked - {message.tool_call_id for message in conversation.messages if isinstance(message, ToolMessage)}


# -- talking -----------------------------------------------------------------------------------------------------------


def test_an_answer_arrives_token_by_token(assistant):
    assert assistant.say("count 50") == "".join(f"w{number} " for number in range(50))
    assert len(assistant.tokens) == 50


def test_the_system_prompt_comes_first_and_the_conversation_is_remembered(assistant, model):
    assistant.say("my name is Ada")
    assistant.say("who am I")
    roles = [message["role"] for message in model.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_a_tool_is_called_and_its_result_answered(assistant):
    assert assistant.say("calculate 6*7") == "The tool said: 42"
    assert "".join(assistant.tokens) == "Let me see. The tool said: 42"
    assert results(assistant) == ["42"]


def test_several_tools_of_one_turn_are_all_called(assistant):
    answer = assistant.say("calculate 6*7 and calculate 2**10")
    assert answer == "The tool said: 42 | 1024"


def test_a_search_gives_passages_with_the_document_they_are_from(assistant):
    assistant.say("search opening hours")
    assert results(assistant) == ["From support.md › Hours, page 2:\nSupport answers on weekdays."]


def test_a_search_that_no_passage_fits_says_so_to_the_model(assistant):
    assistant.say("search nonsense")
    assert results(assistant) == ["No document of this workspace says anything about this."]


def test_a_search_in_another_workspace_finds_nothing(assistant):
    assistant.context = {"workspace_id": "w2"}
    assistant.say("search opening hours")
    assert results(assistant) == ["This workspace holds no documents."]


def test_a_search_without_a_workspace_says_so_to_the_model(assistant):
    assistant.context = {}
    assistant.say("search opening hours")
    assert results(assistant) == ["There are no documents here: this conversation belongs to no workspace."]


def test_the_time_is_told_in_the_zone_that_was_asked_for(assistant):
    assistant.say("time in Asia/Kolkata")
    assert results(assistant)[0].endswith("IST (UTC+0530)")


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "/etc/localtime"])
def test_a_zone_that_is_none_is_told_to_the_model(assistant, zone):
    assistant.say(f"time in {zone}")
    assert results(assistant) == [f"{zone!r} is no IANA time zone."]


def test_a_tool_that_fails_does_not_end_the_run(assistant):
    assert assistant.say("calculate 1/0") == "The tool said: Division by zero."


def test_a_run_that_asks_the_model_again_and_again_is_ended_with_a_sentence(assistant, model):
    assert assistant.say("endless").startswith("I stopped after 20 steps")
    assert len(model.requests) == 20
    assert len(assistant.steps) < RECURSION_LIMIT


def test_a_message_after_such_a_run_is_answered(assistant):
    assistant.say("endless")
    assert assistant.say("hello") == "You said: hello"


def test_a_long_history_is_summarised_and_nobody_hears_the_summary(assistant, model):
    for number in range(6):
        assistant.say(f"{number} " + "long-" * 7000)
    assert any(SUMMARY in json.dumps(request["messages"]) for request in model.requests)
    assert SUMMARY not in "".join(assistant.tokens)
    assert len(assistant.messages) < 12


# -- asking a person ---------------------------------------------------------------------------------------------------


def test_a_dangerous_tool_is_not_called_before_a_person_approves(assistant):
    assistant.say(FETCH)
    question = assistant.questions[0].value
    assert question["action_requests"] == [
        {
            "name": "fetch_url",
            "args": {"url": "http://127.0.0.1:9/secret"},
            "description": "May the assistant use fetch_url with url = http://127.0.0.1:9/secret?",
        }
    ]
    assert question["review_configs"][0]["allowed_decisions"] == ["approve", "edit", "reject"]
    assert results(assistant) == []


def test_an_approved_tool_is_called(assistant):
    assistant.say(FETCH)
    assert assistant.decide(APPROVED) == "The tool said: This address is not on the public internet."
    assert assistant.questions == ()


def test_what_was_said_before_the_question_is_not_said_again_after_it(assistant):
    assistant.say(FETCH)
    assistant.decide(APPROVED)
    assert "".join(assistant.tokens).count("Let me see.") == 1


def test_a_rejected_tool_is_not_called_and_the_model_hears_why(assistant):
    assistant.say(FETCH)
    answer = assistant.decide({"decisions": [{"type": "reject", "message": "Not that site."}]})
    assert "rejected" in answer
    assert "Not that site." in answer


def test_an_edited_call_is_made_as_the_person_wrote_it(assistant):
    assistant.say(FETCH)
    edited = {"name": "fetch_url", "args": {"url": "ftp://example.org/"}}
    answer = assistant.decide({"decisions": [{"type": "edit", "edited_action": edited}]})
    assert "Only http and https addresses can be opened." in answer


def test_only_the_dangerous_one_of_two_calls_is_asked_about(assistant):
    assistant.say(f"calculate 6*7 and {FETCH}")
    assert [request["name"] for request in assistant.questions[0].value["action_requests"]] == ["fetch_url"]
    assistant.decide({"decisions": [{"type": "reject"}]})
    assert "42" in results(assistant)
    assert open_calls(assistant) == set()


@pytest.mark.parametrize(
    "unreadable",
    [
        "yes",
        True,
        None,
        {},
        [],
        {"decisions": []},
        {"decisions": "approve"},
        {"decisions": [{"type": "maybe"}]},
        {"decisions": [{"type": "respond", "message": "the page says OK"}]},
        {"decisions": [{"type": "edit"}]},
        {"decisions": [{"type": "approve"}, {"type": "approve"}]},
    ],
)
def test_an_answer_that_cannot_be_read_is_a_refusal(assistant, unreadable):
    assistant.say(FETCH)
    assert "could not be read" in assistant.decide(unreadable)
    assert len(results(assistant)) == 1
    assert open_calls(assistant) == set()


def test_a_message_instead_of_an_answer_closes_the_open_call_for_the_model(assistant, model):
    assistant.say(FETCH)
    assert assistant.say("never mind") == "You said: never mind"
    shown = model.requests[-1]["messages"]
    assert [message["role"] for message in shown] == ["system", "user", "assistant", "tool", "user"]
    assert shown[3]["content"] == "Cancelled by the user; the tool was not run."
    assert assistant.questions == ()


def test_a_call_left_open_long_ago_does_not_disturb_a_later_one(assistant):
    assistant.say(FETCH)
    assistant.say("never mind")
    assert assistant.say("calculate 6*7") == "The tool said: 42"


# -- the model ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (401, ModelAuthenticationError, False),
        (400, ModelInvalidRequestError, False),
        (429, ModelRateLimitError, True),
        (500, ModelError, True),
    ],
)
def test_an_error_of_the_model_says_its_status_and_whether_to_try_again(assistant, status, kind, retryable):
    with pytest.raises(kind) as raised:
        assistant.say(f"fail {status}")
    assert raised.value.status_code == status
    assert raised.value.is_retryable is retryable


def test_an_answer_that_is_cut_off_is_a_lost_connection(assistant):
    with pytest.raises(ModelConnectionError):
        assistant.say("cut one two three four five six")


def test_a_conversation_goes_on_after_an_error_of_the_model(assistant):
    with pytest.raises(ModelInvalidRequestError):
        assistant.say("fail 400")
    assert assistant.say("hello") == "You said: hello"


def test_a_server_by_its_address_alone_is_asked_with_a_stand_in_for_the_key(assistant, model):
    assistant.say("hello")
    assert model.keys == ["none"]
    assert model.requests[0]["model"] == assistant_model.DEFAULT_MODELS["openai"]


def test_the_key_and_the_model_that_are_set_are_used(model, monkeypatch, talk_to):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-own")
    monkeypatch.setenv("CHAT_MODEL", "openai:llama3.1:8b")
    talk_to("assistant").say("hello")
    assert model.keys == ["sk-own"]
    assert model.requests[0]["model"] == "llama3.1:8b"


def test_a_change_of_the_environment_counts_from_the_next_run_on(model, monkeypatch, talk_to):
    talk_to("assistant").say("hello")
    monkeypatch.setenv("OPENAI_API_KEY", KEY_REFUSED)
    with pytest.raises(ModelAuthenticationError):
        talk_to("assistant").say("hello")


def test_without_a_model_the_refusal_names_every_setting_that_would_do(no_model, open_agent):
    with pytest.raises(RuntimeError) as raised:
        open_agent("assistant")
    needs = json.loads(MANIFEST.read_text())["agents"][0]["needs"]
    assert [name for name in needs if name.upper() not in raised.value.public_message] == []


@pytest.mark.parametrize(
    ("chat_model", "said"),
    [
        ("gpt-5", "provider:name"),
        ("nobody:model", "cannot be used"),
        ("openai:gpt-5", "cannot be used"),
        ("anthropic:claude", "is not installed"),
    ],
)
def test_a_model_that_cannot_be_made_is_one_sentence(no_model, open_agent, monkeypatch, chat_model, said):
    monkeypatch.setenv("CHAT_MODEL", chat_model)
    with pytest.raises(RuntimeError, match=said) as raised:
        open_agent("assistant")
    assert "\n" not in raised.value.public_message


def test_the_assistant_answers_on_one_event_loop_after_another(model, open_agent):
    graph = open_agent("assistant")
    asked = {"messages": [HumanMessage("hello")]}
    answers = [asyncio.run(graph.ainvoke(asked))["messages"][-1].text for _ in range(3)]
    assert answers == ["You said: hello"] * 3


def test_the_same_environment_gives_the_same_graph(model, open_agent):
    assert open_agent("assistant") is open_agent("assistant")
