"""The same conversation, whichever way a web process waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chats.raw import Raw
from tests.journeys.conftest import web_beside
from tests.stack import Stack
from tests.talk import Line, Person, living_text, numbers


@pytest.fixture(scope="module", params=["eventlet", "gevent", "threading"])
def person(agents: Stack, request: pytest.FixtureRequest) -> Iterator[Person]:
    """Somebody who talks to a web process that waits in this way."""
    with web_beside(agents, ASYNC_MODE=request.param) as url:
        yield Person(url)


COUNT = 200
ANSWER = "".join(f"{number} " for number in range(1, COUNT + 1))


def test_a_socket_that_comes_back_in_the_middle_of_an_answer_hears_all_of_it_once(person: Person) -> None:
    chat_id = person.chat("slow")
    raw, heard = Raw(person.base_url, {"connection_string": person.connection_string(chat_id)}, since=0), []
    raw.ask("message", {"message_string": person.message_string(chat_id), "content": f"n={COUNT} delay=0.01"})
    for _ in range(4):
        raw.until_event("session")
        raw.until_event("token", 8)
        raw.close()
        heard += [data for _, data in raw.events if "seq" in data]
        token = raw.of("session")[0]["resume_token"]
        raw = Raw(person.base_url, {"chat_id": chat_id, "resume_token": token}, since=heard[-1]["seq"])
    raw.until(lambda: [message["role"] for message in raw.of("message")][-1:] == ["assistant"])
    heard += [data for _, data in raw.events if "seq" in data]
    assert [data["seq"] for data in heard] == list(range(1, len(heard) + 1))
    assert "".join(data["delta"] for data in heard if "delta" in data) == heard[-1]["content"] == ANSWER


def test_a_client_that_polls_hears_an_answer_and_all_of_it_again(person: Person) -> None:
    chat_id = person.chat("slow")
    line = Line(person, chat_id, transports=("polling",)).open()
    run_id = line.say(f"n={COUNT}")["run_id"]
    assert line.answer_to(run_id) == living_text(line, run_id) == ANSWER
    once = numbers(line)
    assert once == list(range(1, len(once) + 1))
    assert line.emit("resume", {"since": 0})["ok"]
    line.wait(lambda: numbers(line) == once + once, what="all of it again")
    person.call("DELETE", f"/chat?chat_id={chat_id}")
    line.wait(lambda: line.closed is not None, what="the end of the chat")
    line.close()


def test_refusals_and_malformed_events_are_answered(person: Person) -> None:
    chat_id = person.chat("slow")
    string = person.connection_string(chat_id)
    raw = Raw(person.base_url, {"connection_string": string})
    assert Raw(person.base_url, {"connection_string": string}).refusal == "revoked"
    assert Raw(person.base_url, None).refusal == "invalid"
    for payload in (None, [], "text", {"content": "x"}, {"message_string": "\ud800", "content": "\x00"}):
        assert raw.ask("message", payload)["error"]["code"] == "invalid"
    for frame in ("42/chat,[]", "42/chat,{}", '42/chat,["message", ' + "[" * 5000 + "]" * 5000 + "]"):
        raw.send(frame)
    assert raw.ask("typing")["ok"]
    person.call("POST", "/auth/logout")
    assert raw.until_event("closed")["code"] == "signed_out"
    assert raw.until_closed()
