"""People talk to agents: a message, its tokens, the stored answer, questions, names, older clients, and lines that break."""

from __future__ import annotations

import concurrent.futures
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import socketio

from tests.chats.raw import Raw
from tests.stack import Stack, eventually
from tests.talk import Line, Person, living_text, numbers, without_gaps


@pytest.fixture
def lines() -> Iterator[Any]:
    """Opens sockets in chats; closes them at the end."""
    opened: list[Line] = []

    def open_line(person: Person, chat_id: str, **options: Any) -> Line:
        opened.append(Line(person, chat_id, **options).open())
        return opened[-1]

    yield open_line
    for line in opened:
        line.close()


def cut(line: Line) -> None:
    """Break a line as a network does: nobody says goodbye."""
    assert line._client is not None
    line._client.eio.ws.sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")])
def test_an_answer_comes_token_by_token_and_is_stored_at_its_end(ada: Person, lines: Any, transports: tuple[str, ...]) -> None:
    chat_id = ada.chat("slow")
    line = lines(ada, chat_id, transports=transports)
    ack = line.say("n=8 delay=0.02", client_message_id="first")
    assert line.answer_to(ack["run_id"]) == "1 2 3 4 5 6 7 8 "
    assert (line.events[0][0], line.events[-1][0]) == ("message", "message")
    assert numbers(line) == list(range(1, len(line.events) + 1))
    assert {data["chat_id"] for _, data in line.events} == {chat_id}
    assert living_text(line, ack["run_id"]) == "1 2 3 4 5 6 7 8 "
    assert len(line.of("token")) >= 4
    assert line.statuses(ack["run_id"]) == ["running", "success"]
    assert [step["phase"] for step in line.of("step")] == ["start", "end"]
    assert ada.messages(chat_id) == [data for kind, data in line.events if kind == "message"]


def test_an_older_and_a_newer_client_in_one_chat_each_hear_their_own_way(ada: Person, lines: Any) -> None:
    chat_id = ada.chat("slow")
    authorized = ada.call("GET", f"/chat/authorize?chat_id={chat_id}")
    old, heard = socketio.Client(reconnection=False), []
    old.on("*", lambda kind, data=None: heard.append((kind, data)), namespace="/chat")
    query = f"chat_id={authorized['chat_id']}&connection_string={authorized['string']}"
    old.connect(f"{ada.base_url}?{query}", namespaces=["/chat"], wait_timeout=10)
    new = lines(ada, chat_id)
    string = ada.call("GET", f"/chat/authorize/message?chat_id={chat_id}")["string"]
    old.emit("chat_message", json.dumps({"message": "n=3", "chat_id": chat_id, "message_string": string}), namespace="/chat")
    eventually(lambda: ("message", "1 2 3 ") in heard, what="the answer")
    new.wait(lambda: len(new.of("message")) == 2)
    new_ack = new.say("n=2")
    new.answer_to(new_ack["run_id"])
    eventually(lambda: ("message", "1 2 ") in heard, what="the second answer")
    old.disconnect()
    feedback = {"type": "message_received", "message": "n=3", "chat_id": chat_id}
    assert sorted((kind, data if kind == "message" else json.loads(data)) for kind, data in heard if kind == "feedback") == [
        ("feedback", feedback)
    ]
    assert [data for kind, data in heard if kind == "message"] == ["1 2 3 ", "1 2 "]
    assert {kind for kind, _ in heard} == {"feedback", "message"}
    assert without_gaps(numbers(new))


def test_of_twenty_that_race_with_one_string_over_two_processes_one_passes(ada: Person, second_web: str) -> None:
    chat_id = ada.chat("slow")
    places = [ada.base_url, second_web] * 10
    string = ada.connection_string(chat_id)
    with concurrent.futures.ThreadPoolExecutor(20) as racers:
        greeted = list(racers.map(lambda url: Raw(url, {"connection_string": string}), places))
        assert [raw.refusal for raw in greeted].count(None) == 1
        sockets = list(racers.map(lambda url: Raw(url, {"connection_string": ada.connection_string(chat_id)}), places))
        sent = {"message_string": ada.message_string(chat_id), "content": "n=2"}
        acks = list(racers.map(lambda raw: raw.ask("message", sent), sockets))
    assert sorted(ack["error"]["code"] if not ack["ok"] else "ok" for ack in acks) == ["ok"] + ["replayed"] * 19
    assert [message["role"] for message in ada.messages(chat_id)].count("user") == 1


def test_sockets_of_two_processes_hear_the_same(agents: Stack, ada: Person, second_web: str, lines: Any) -> None:
    chat_id = ada.chat("slow")
    here, there = lines(ada, chat_id), lines(ada, chat_id, base_url=second_web)
    run_id = here.say("n=20 delay=0.01")["run_id"]
    here.answer_to(run_id)
    there.answer_to(run_id)
    assert here.events == there.events
    stranger = Person(agents.base_url)
    stranger_chat = stranger.chat("slow")
    beside = lines(stranger, stranger_chat, base_url=second_web)
    stranger.call("POST", "/auth/logout")
    beside.wait(lambda: beside.closed is not None, what="the notice of another process")


def test_twenty_cuts_during_an_answer_lose_and_double_nothing(ada: Person, lines: Any, second_web: str) -> None:
    chat_id = ada.chat("slow")
    line, chance = lines(ada, chat_id), random.Random(3)
    run_id = line.say("n=300 delay=0.01")["run_id"]
    for number in range(20):
        goal = len(line.events) + chance.randint(1, 12)
        line.wait(lambda goal=goal: len(line.events) >= goal, what="more of the answer")
        # Every other time the line comes back to another process.
        line.base_url = second_web if number % 2 else ada.base_url
        token = line.session["resume_token"]
        cut(line)
        line.wait(lambda token=token: line.session["resume_token"] != token, what="the new session")
    answer = line.answer_to(run_id)
    assert numbers(line) == list(range(1, len(line.events) + 1))
    assert living_text(line, run_id) == answer == "".join(f"{number} " for number in range(1, 301))


def test_a_question_is_answered_once(ada: Person, lines: Any) -> None:
    chat_id = ada.chat("asking")
    line, other = lines(ada, chat_id), lines(ada, chat_id)
    run_id = line.say("a shirt, please")["run_id"]
    line.await_status(run_id, "interrupted")
    question = line.of("interrupt", run_id)[0]
    assert question["value"] == {"question": "Which colour?", "choices": ["red", "blue"]}
    racing = [(line, "red"), (other, "blue")] * 5
    with concurrent.futures.ThreadPoolExecutor(10) as racers:
        asked = {"run_id": run_id, "interrupt_id": question["interrupt_id"]}
        acks = list(racers.map(lambda each: each[0].emit("answer", {**asked, "value": each[1]}), racing))
    winners = [colour for ack, (_, colour) in zip(acks, racing, strict=True) if ack["ok"]]
    assert sorted({ack["error"]["code"] for ack in acks if not ack["ok"]}) == ["nothing_asked"]
    assert len(winners) == 1
    line.wait(lambda: len(line.of("interrupt", run_id)) == 2, what="the second question")
    line.await_status(run_id, "interrupted")
    wrong = line.emit("answer", {"run_id": run_id, "value": "XL", "interrupt_id": question["interrupt_id"]})
    assert wrong["error"]["code"] == "nothing_asked"
    right = {"run_id": run_id, "value": "XL", "interrupt_id": line.of("interrupt", run_id)[1]["interrupt_id"]}
    eventually(lambda: line.emit("answer", right)["ok"])
    assert line.answer_to(run_id) == f"{winners[0]} and XL"


def test_something_newer_takes_the_place_of_an_open_question(ada: Person, lines: Any) -> None:
    line = lines(ada, ada.chat("asking"))
    first = line.say("a shirt, please")["run_id"]
    line.await_status(first, "interrupted")
    second = line.say("no, trousers")["run_id"]
    line.await_status(first, "cancelled")
    line.await_status(second, "interrupted")
    assert line.emit("answer", {"run_id": first, "value": "red"})["error"]["code"] == "nothing_asked"
    assert line.emit("answer", {"run_id": second, "value": "red"})["ok"]


def test_a_name_picks_an_agent_which_is_told_what_was_said_before(ada: Person, lines: Any) -> None:
    workspace_id = ada.workspace("slow", "echo")
    line = lines(ada, ada.chat(workspace_id=workspace_id))
    first = line.say("n=3")["run_id"]
    line.answer_to(first)
    second = line.say("@echo good morning")["run_id"]
    assert line.answer_to(second) == "good morning"
    assert line.of("message", second)[1]["agent_id"] == "echo"
    ada.call("PUT", f"/workspace/{workspace_id}/coordinator", json={"agent_id": "echo"})
    assert line.answer_to(line.say("to whom it may concern")["run_id"]) == "to whom it may concern"
    third = line.say("n=2", agent_id="slow")["run_id"]
    assert line.answer_to(third) == "1 2 "


def test_an_agent_is_stopped_and_what_it_has_said_is_kept_as_a_part(ada: Person, lines: Any) -> None:
    line = lines(ada, ada.chat("slow"))
    run_id = line.say("n=1000 delay=0.05")["run_id"]
    line.wait(lambda: len(line.of("token", run_id)) > 2)
    assert line.emit("cancel", {"run_id": run_id})["ok"]
    assert line.await_status(run_id, "cancelled") == "cancelled"
    assert line.emit("cancel", {"run_id": run_id})["status"] == "cancelled"
    line.answer_to(run_id)
    kept = line.of("message", run_id)[-1]
    assert kept["partial"] is True
    assert kept["content"] == living_text(line, run_id)
    assert "".join(f"{number} " for number in range(1, 1001)).startswith(kept["content"])
    assert [(message["role"], message.get("partial")) for message in ada.messages(line.chat_id)] == [("user", None), ("assistant", True)]


def test_an_agent_that_fails_says_so_and_no_more(ada: Person, lines: Any) -> None:
    line = lines(ada, ada.chat("failing"))
    run_id = line.say("go")["run_id"]
    line.await_status(run_id, "error")
    (error,) = line.of("error", run_id)
    assert {"code", "message", "retryable"} <= set(error)
    assert "secret" not in json.dumps(line.events)


def test_a_chat_that_is_deleted_in_the_middle_of_an_answer_leaves_nothing(ada: Person, lines: Any) -> None:
    chat_id = ada.chat("slow")
    line = lines(ada, chat_id)
    run_id = line.say("n=1000 delay=0.02")["run_id"]
    line.wait(lambda: len(line.of("token", run_id)) > 2)
    ada.call("DELETE", f"/chat?chat_id={chat_id}")
    line.wait(lambda: line.closed is not None)
    assert line.closed is not None
    assert line.closed["code"] == "chat_deleted"
    ada.call("GET", f"/chat/{chat_id}/messages", expect=404)


def test_a_page_that_opens_in_the_middle_of_an_answer_sees_all_of_it(ada: Person, lines: Any) -> None:
    chat_id = ada.chat("slow")
    first = lines(ada, chat_id)
    run_id = first.say("n=100 delay=0.02")["run_id"]
    first.wait(lambda: len(first.of("token", run_id)) > 10)
    page = ada.call("GET", f"/chat/{chat_id}/messages")
    assert [message["role"] for message in page["messages"]] == ["user"]
    late = Line(ada, chat_id).open(since=page["replay_from"])
    answer = late.answer_to(run_id)
    assert living_text(late, run_id) == answer == first.answer_to(run_id)
    assert without_gaps(numbers(late))
    late.close()


def test_messages_at_once_are_answered_one_after_the_other(ada: Person, lines: Any) -> None:
    line = lines(ada, ada.chat("slow"))
    runs = [line.say(f"n={count} delay=0.01")["run_id"] for count in (5, 4, 3)]
    answers = [line.answer_to(run_id) for run_id in runs]
    assert answers == ["1 2 3 4 5 ", "1 2 3 4 ", "1 2 3 "]
    order = [data["run_id"] for kind, data in line.events if kind == "message" and data["role"] == "assistant"]
    assert order == runs


def test_a_flood_of_one_does_not_slow_the_others(ada: Person, agents: Stack, lines: Any) -> None:
    flooder, line = Person(agents.base_url), lines(ada, ada.chat("slow"))
    raw = Raw(agents.base_url, {"connection_string": flooder.connection_string(flooder.chat("slow"))})
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            for _ in range(200):
                raw.post("message", {"message_string": "no string", "content": "flood"})
            raw.until(lambda: len(raw.acks) >= 200)
            raw.acks.clear()

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        began = time.monotonic()
        for _ in range(5):
            line.answer_to(line.say("n=2")["run_id"])
        took_s = time.monotonic() - began
    finally:
        stop.set()
        flooding.join()
    assert took_s < 15
