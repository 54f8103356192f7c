"""Connecting to a chat and sending into it: who is let in, what is taken, and each refusal by its word."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
import sqlalchemy as sa
import websocket

from server.chats import connections
from server.chats.models import Connection, Message
from server.kit.clock import after
from server.kit.db import db
from server.kit.http import parse_id
from server.runs.models import Run
from tests.chats.conftest import Door, MakeDoor, again
from tests.chats.raw import Raw
from tests.stack import eventually
from tests.talk import PASSWORD, Person


def connect(door: Door, connection_string: Any, **auth: Any) -> Raw:
    return Raw(door.url, {"connection_string": connection_string, **auth})


def said(raw: Raw, person: Person, chat_id: str, content: Any = "hello", **more: Any) -> Any:
    return raw.ask("message", {"message_string": person.message_string(chat_id), "content": content, **more})


def stored(door: Door, chat_id: str) -> tuple[int, int]:
    """How many messages and runs a chat has."""
    with door.app.app_context():
        messages = db.session.scalar(sa.select(sa.func.count()).where(Message.chat_id == parse_id(chat_id)))
        runs = db.session.scalar(sa.select(sa.func.count()).where(Run.stream == f"chat:{chat_id}"))
        return messages or 0, runs or 0


# -- connecting --------------------------------------------------------------------------------------------------------


def test_a_connection_string_opens_a_connection_and_the_session_follows(door: Door, ada: Person, chat_id: str) -> None:
    raw = connect(door, ada.connection_string(chat_id))
    assert raw.greeting[0] == "accepted"
    session = raw.until_event("session")
    assert set(session) == {"chat_id", "user_id", "resume_token", "expires_at", "last_seq"}
    assert (session["chat_id"], session["last_seq"]) == (chat_id, 0)
    assert raw.frames[0].startswith("40/chat")


def test_a_connection_string_is_good_once(door: Door, ada: Person, chat_id: str) -> None:
    string = ada.connection_string(chat_id)
    assert connect(door, string).refusal is None
    assert connect(door, string).refusal == "revoked"


def test_of_twenty_that_race_with_one_connection_string_one_gets_in(door: Door, ada: Person, chat_id: str) -> None:
    string = ada.connection_string(chat_id)
    with concurrent.futures.ThreadPoolExecutor(20) as racers:
        refusals = list(racers.map(lambda _: connect(door, string).refusal, range(20)))
    assert sorted(map(str, refusals)) == ["None"] + ["revoked"] * 19


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        [],
        "text",
        7,
        {"connection_string": None},
        {"connection_string": 7},
        {"connection_string": ["a"]},
        {"connection_string": {"a": 1}},
        {"connection_string": ""},
        {"connection_string": "\x00"},
        {"connection_string": "\ud800"},
        {"connection_string": "é.é.é"},
        {"connection_string": "a" * 100_000},
        {"resume_token": None, "chat_id": None},
        {"resume_token": "a.b.c", "chat_id": ["x"]},
        {"resume_token": "\ud800"},
    ],
)
def test_whatever_is_no_string_of_ours_is_invalid(door: Door, auth: Any) -> None:
    assert Raw(door.url, auth).refusal == "invalid"


def test_a_string_that_was_changed_is_invalid(door: Door, ada: Person, chat_id: str) -> None:
    string = ada.connection_string(chat_id)
    other_letter = "A" if string[-10] != "A" else "B"
    assert connect(door, string[:-10] + other_letter + string[-9:]).refusal == "invalid"


def test_a_message_string_opens_no_connection(door: Door, ada: Person, chat_id: str) -> None:
    assert connect(door, ada.message_string(chat_id)).refusal == "invalid"


def test_an_old_string_has_expired(doors: MakeDoor, ada: Person, chat_id: str) -> None:
    strict = doors(connection_string_s=-1, resume_token_s=-1)
    assert connect(strict, ada.connection_string(chat_id)).refusal == "expired"


def test_an_old_resume_token_has_expired(doors: MakeDoor, door: Door, ada: Person, chat_id: str) -> None:
    token = door.open(ada, chat_id).until_event("session")["resume_token"]
    strict = doors(connection_string_s=-1, resume_token_s=-1)
    assert Raw(strict.url, {"chat_id": chat_id, "resume_token": token}).refusal == "expired"


def signed_out(person: Person) -> None:
    person.call("POST", "/auth/logout")


def password_changed(person: Person) -> None:
    again(person).call("PUT", "/user/password", json={"old_password": PASSWORD, "new_password": PASSWORD + "!"})


def account_deleted(person: Person) -> None:
    again(person).call("DELETE", "/user", json={"password": PASSWORD})


@pytest.mark.parametrize("end", [signed_out, password_changed, account_deleted])
def test_every_string_ends_with_the_sign_in_that_asked_for_it(door: Door, end: Callable[[Person], None]) -> None:
    person = Person(door.url)
    chat_id = person.chat("echo")
    string, token = person.connection_string(chat_id), door.open(person, chat_id).until_event("session")["resume_token"]
    end(person)
    assert connect(door, string).refusal == "revoked"
    assert Raw(door.url, {"chat_id": chat_id, "resume_token": token}).refusal == "revoked"


@pytest.mark.parametrize("end", [signed_out, password_changed, account_deleted])
def test_an_open_socket_is_closed_at_once_with_its_sign_in(door: Door, end: Callable[[Person], None]) -> None:
    person = Person(door.url)
    chat_id = person.chat("echo")
    raw = door.open(person, chat_id)
    end(person)
    # With an account its chats are deleted too: either notice may be the first.
    assert raw.until_event("closed")["code"] in ({"signed_out", "chat_deleted"} if end is account_deleted else {"signed_out"})
    assert raw.until_closed()
    assert raw.events[-1] == ("disconnected", None)


def test_strings_and_sockets_end_with_the_api_key_that_asked_for_them(door: Door, ada: Person, chat_id: str) -> None:
    made = ada.call("POST", "/user/api_key", json={"name": "tests"})
    keyed = again(ada)
    del keyed.http.headers["Authorization"]
    keyed.http.headers["X-Api-Key"] = made["api_key"]
    string, raw = keyed.connection_string(chat_id), door.open(keyed, chat_id)
    ada.call("DELETE", f"/user/api_key/{made['key_id']}")
    assert raw.until_event("closed")["code"] == "signed_out"
    assert connect(door, string).refusal == "revoked"


def test_a_string_of_a_deleted_chat_is_revoked(door: Door, ada: Person, chat_id: str) -> None:
    string, token = ada.connection_string(chat_id), door.open(ada, chat_id).until_event("session")["resume_token"]
    ada.call("DELETE", f"/chat?chat_id={chat_id}")
    assert connect(door, string).refusal == "revoked"
    assert Raw(door.url, {"chat_id": chat_id, "resume_token": token}).refusal == "revoked"


def test_deleting_a_chat_closes_its_sockets_and_no_others(door: Door, ada: Person, workspace_id: str, chat_id: str) -> None:
    other = door.open(ada, ada.chat(workspace_id=workspace_id))
    raw = door.open(ada, chat_id)
    ada.call("DELETE", f"/chat?chat_id={chat_id}")
    assert raw.until_event("closed") == {"code": "chat_deleted", "message": "The chat was deleted.", "chat_id": chat_id}
    assert other.ask("typing")["ok"]


def test_deleting_a_workspace_closes_the_sockets_of_its_chats(door: Door, ada: Person) -> None:
    workspace_id = ada.workspace("echo")
    raw = door.open(ada, ada.chat(workspace_id=workspace_id))
    ada.call("DELETE", f"/workspace/{workspace_id}")
    assert raw.until_event("closed")["code"] in ("chat_deleted", "access_ended")


def test_a_member_who_is_removed_loses_strings_and_sockets(door: Door, ada: Person) -> None:
    ben = Person(door.url)
    workspace_id = ada.workspace("echo")
    ada.call("POST", f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": "editor"})
    chat_id = ben.chat(workspace_id=workspace_id)
    string, message_string, raw = ben.connection_string(chat_id), ben.message_string(chat_id), door.open(ben, chat_id)
    ben_id = ben.call("GET", "/user")["user"]["user_id"]
    ada.call("DELETE", f"/workspace/{workspace_id}/members/{ben_id}")
    assert connect(door, string).refusal == "revoked"
    assert raw.until_event("closed")["code"] == "access_ended"
    ada.call("POST", f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": "editor"})
    assert door.open(ben, chat_id).ask("message", {"message_string": message_string, "content": "I am back"})["ok"]


def test_a_member_who_may_only_read_from_now_on_is_shown_out_at_once(door: Door, ada: Person, ben: Person) -> None:
    workspace_id = ada.workspace("echo")
    ada.call("POST", f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": "editor"})
    chat_id = ben.chat(workspace_id=workspace_id)
    raw = door.open(ben, chat_id)
    ada.call("POST", f"/workspace/{workspace_id}/members", json={"email": ben.email, "role": "viewer"})
    assert raw.until_event("closed")["code"] == "access_ended"


# -- coming back -------------------------------------------------------------------------------------------------------


def resumed(door: Door, chat_id: str, token: str, since: int | None = None) -> Raw:
    return Raw(door.url, {"chat_id": chat_id, "resume_token": token}, since=since)


def test_a_resume_token_opens_the_lost_connection_again_and_is_replaced(door: Door, ada: Person, chat_id: str) -> None:
    first = door.open(ada, chat_id).until_event("session")["resume_token"]
    second = resumed(door, chat_id, first).until_event("session")["resume_token"]
    third = resumed(door, chat_id, second).until_event("session")["resume_token"]
    assert len({first, second, third}) == 3
    assert resumed(door, chat_id, first).refusal == "revoked"
    assert resumed(door, chat_id, third).refusal is None


def test_the_token_before_works_for_a_little_longer(door: Door, ada: Person, chat_id: str) -> None:
    first = door.open(ada, chat_id).until_event("session")["resume_token"]
    second = resumed(door, chat_id, first).until_event("session")["resume_token"]
    again = resumed(door, chat_id, first).until_event("session")["resume_token"]
    assert resumed(door, chat_id, again).refusal is None
    assert resumed(door, chat_id, second).refusal is None


def test_the_token_before_is_refused_once_the_overlap_is_over(door: Door, ada: Person, chat_id: str) -> None:
    first = door.open(ada, chat_id).until_event("session")["resume_token"]
    resumed(door, chat_id, first).until_event("session")
    with door.app.app_context():
        db.session.execute(sa.update(Connection).where(Connection.chat_id == parse_id(chat_id)).values(rotated_at=after(-60)))
        db.session.commit()
    assert resumed(door, chat_id, first).refusal == "revoked"


def test_a_resume_token_is_for_its_chat_alone(door: Door, ada: Person, workspace_id: str, chat_id: str) -> None:
    token = door.open(ada, chat_id).until_event("session")["resume_token"]
    assert resumed(door, ada.chat(workspace_id=workspace_id), token).refusal == "invalid"
    assert connect(door, token).refusal == "invalid"


def test_connections_that_nobody_can_come_back_by_are_forgotten(door: Door, ada: Person, workspace_id: str, chat_id: str) -> None:
    other = ada.chat(workspace_id=workspace_id)
    for each in (chat_id, other):
        door.open(ada, each)
    mine = Connection.chat_id == parse_id(chat_id)
    with door.app.app_context():
        db.session.execute(sa.update(Connection).where(mine).values(expires_at=after(-1)))
        db.session.commit()
        assert connections.forget_lapsed() == 1
        assert db.session.scalar(sa.select(sa.func.count()).where(mine)) == 0
        assert db.session.scalar(sa.select(sa.func.count()).where(Connection.chat_id == parse_id(other))) == 1


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_is_acknowledged_and_heard_by_all_sockets_of_the_chat(door: Door, ada: Person, chat_id: str) -> None:
    first, second = door.open(ada, chat_id), door.open(ada, chat_id)
    ack = said(first, ada, chat_id, "Good morning", client_message_id="m1")
    assert set(ack) == {"ok", "message_id", "run_id", "seq"}
    for raw in (first, second):
        message = raw.until_event("message")
        assert message.pop("created_at").endswith("Z")
        assert message == {
            "message_id": ack["message_id"],
            "run_id": ack["run_id"],
            "seq": ack["seq"],
            "chat_id": chat_id,
            "role": "user",
            "user_id": raw.until_event("session")["user_id"],
            "content": "Good morning",
            "client_message_id": "m1",
        }


def refused_message(door: Door, ada: Person, chat_id: str, message_string: Any) -> str:
    """The word with which a message is refused; nothing of it may have been stored."""
    before = stored(door, chat_id)
    ack = door.open(ada, chat_id).ask("message", {"message_string": message_string, "content": "hello"})
    assert ack["ok"] is False
    assert stored(door, chat_id) == before
    return str(ack["error"]["code"])


def test_a_message_string_is_good_once(door: Door, ada: Person, chat_id: str) -> None:
    string = ada.message_string(chat_id)
    assert door.open(ada, chat_id).ask("message", {"message_string": string, "content": "hello"})["ok"]
    assert refused_message(door, ada, chat_id, string) == "replayed"


def test_a_message_string_for_another_chat_is_invalid(door: Door, ada: Person, workspace_id: str, chat_id: str) -> None:
    assert refused_message(door, ada, chat_id, ada.message_string(ada.chat(workspace_id=workspace_id))) == "invalid"


def test_a_message_string_of_another_user_is_invalid(door: Door, ada: Person, ben: Person, chat_id: str) -> None:
    assert refused_message(door, ada, chat_id, ben.message_string(ben.chat("echo"))) == "invalid"


def test_a_connection_string_lets_no_message_pass(door: Door, ada: Person, chat_id: str) -> None:
    assert refused_message(door, ada, chat_id, ada.connection_string(chat_id)) == "invalid"


@pytest.mark.parametrize("string", [None, 7, True, [], {}, "", "a.b.c", "\x00", "\ud800", "x" * 5000])
def test_whatever_is_no_message_string_is_invalid(door: Door, ada: Person, chat_id: str, string: Any) -> None:
    assert refused_message(door, ada, chat_id, string) == "invalid"


def test_an_old_message_string_has_expired(doors: MakeDoor, ada: Person, chat_id: str) -> None:
    assert refused_message(doors(message_string_s=-1), ada, chat_id, ada.message_string(chat_id)) == "expired"


def test_a_message_string_of_another_sign_in_that_ended_is_revoked(door: Door, ada: Person, chat_id: str) -> None:
    elsewhere = again(ada)
    string = elsewhere.message_string(chat_id)
    elsewhere.call("POST", "/auth/logout")
    assert refused_message(door, ada, chat_id, string) == "revoked"


def test_of_twenty_sockets_that_race_with_one_message_string_one_passes(door: Door, ada: Person, chat_id: str) -> None:
    sockets = [door.open(ada, chat_id) for _ in range(20)]
    sent = {"message_string": ada.message_string(chat_id), "content": "hello"}
    with concurrent.futures.ThreadPoolExecutor(20) as racers:
        acks = list(racers.map(lambda raw: raw.ask("message", sent), sockets))
    assert sorted(ack["error"]["code"] if not ack["ok"] else "ok" for ack in acks) == ["ok"] + ["replayed"] * 19
    assert stored(door, chat_id) == (1, 1)


@pytest.mark.parametrize("is_same_string", [False, True])
def test_the_same_client_message_id_is_one_message_however_often_it_is_sent(
    door: Door, ada: Person, chat_id: str, is_same_string: bool
) -> None:
    sockets = [door.open(ada, chat_id) for _ in range(10)]
    one = ada.message_string(chat_id)
    strings = [one if is_same_string else ada.message_string(chat_id) for _ in range(50)]

    def send(number: int) -> Any:
        return sockets[number % 10].post("message", {"message_string": strings[number], "content": "hello", "client_message_id": "c1"})

    for number in range(50):
        send(number)
    for raw in sockets:
        raw.until(lambda raw=raw: len(raw.acks) == 5)
    acks = [ack for raw in sockets for ack in raw.acks.values()]
    assert all(ack["ok"] for ack in acks), acks
    assert len({json.dumps(ack, sort_keys=True) for ack in acks}) == 1
    assert stored(door, chat_id) == (1, 1)


def test_messages_of_one_socket_are_stored_in_the_order_in_which_it_sent_them(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    strings = [ada.message_string(chat_id) for _ in range(10)]
    for number, string in enumerate(strings):
        raw.post("message", {"message_string": string, "content": str(number)})
    raw.until_event("message", 10)
    assert [message["content"] for message in raw.of("message")] == [str(number) for number in range(10)]


def nested(depth: int) -> Any:
    deep: Any = "x"
    for _ in range(depth):
        deep = [deep]
    return deep


MALFORMED: list[Any] = [None, [], [[]], "text", 7, True, {}, {"content": "x"}, [{"content": "x"}], nested(200), {"content": nested(200)}]


@pytest.mark.parametrize("event", ["message", "chat_message", "resume", "answer", "cancel"])
def test_a_malformed_payload_is_refused_with_an_acknowledgement(door: Door, ada: Person, chat_id: str, event: str) -> None:
    raw = door.open(ada, chat_id)
    assert raw.ask(event)["ok"] is False
    for payload in MALFORMED:
        ack = raw.ask(event, payload)
        assert (ack["ok"], ack["error"]["code"] in ("invalid", "not_found")) == (False, True), payload
        assert raw.ask(event, payload, payload, payload)["ok"] is False
    assert stored(door, chat_id) == (0, 0)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "invalid"),
        (7, "invalid"),
        (["a"], "invalid"),
        ({"a": "b"}, "invalid"),
        ("", "invalid"),
        (" \n ", "invalid"),
        ("a\x00b", "invalid"),
        ("half a \ud800 character", "invalid"),
        ("x" * 100_001, "too_large"),
    ],
)
def test_a_content_that_cannot_be_said_is_refused_and_the_string_stays_good(
    door: Door, ada: Person, chat_id: str, content: Any, code: str
) -> None:
    raw = door.open(ada, chat_id)
    string = ada.message_string(chat_id)
    assert raw.ask("message", {"message_string": string, "content": content})["error"]["code"] == code
    assert stored(door, chat_id) == (0, 0)
    assert raw.ask("message", {"message_string": string, "content": "hello"})["ok"]


@pytest.mark.parametrize("client_message_id", [7, "", "x" * 101, "\x00", "\ud800", [], {}])
def test_a_client_message_id_of_the_wrong_kind_is_refused(door: Door, ada: Person, chat_id: str, client_message_id: Any) -> None:
    ack = said(door.open(ada, chat_id), ada, chat_id, client_message_id=client_message_id)
    assert ack["error"]["code"] == "invalid"
    assert stored(door, chat_id) == (0, 0)


@pytest.mark.parametrize(
    ("agent_id", "code"), [("nobody", "no_agent"), ("", "no_agent"), ("\ud800", "no_agent"), (7, "invalid"), ([], "invalid")]
)
def test_an_agent_that_is_not_there_is_refused(door: Door, ada: Person, chat_id: str, agent_id: Any, code: str) -> None:
    ack = said(door.open(ada, chat_id), ada, chat_id, agent_id=agent_id)
    assert ack["error"]["code"] == code
    assert stored(door, chat_id) == (0, 0)


def test_a_workspace_without_agents_answers_that_it_has_none(door: Door, ada: Person) -> None:
    chat_id = ada.chat()
    ack = said(door.open(ada, chat_id), ada, chat_id)
    assert ack["error"] == {"code": "no_agent", "message": "The workspace has no agent that could answer; add one."}


def test_an_agent_that_lacks_something_says_what(door: Door, ada: Person) -> None:
    chat_id = ada.chat("assistant")
    ack = said(door.open(ada, chat_id), ada, chat_id)
    assert ack["error"]["code"] == "agent_not_ready"
    assert "KEY" in ack["error"]["message"]


def test_who_sends_too_many_messages_is_told_so(doors: MakeDoor, ada: Person, chat_id: str) -> None:
    door = doors(message_rate=3)
    raw = door.open(ada, chat_id)
    codes = [said(raw, ada, chat_id).get("error", {"code": "ok"})["code"] for _ in range(5)]
    assert codes.count("ok") <= 3
    assert codes[-1] == "rate_limited"


def test_who_has_too_many_runs_waiting_is_told_so_and_keeps_the_string(doors: MakeDoor, door: Door) -> None:
    person = Person(door.url)
    chat_id = person.chat("echo")
    small = doors(max_queued_runs=2)
    raw, string = small.open(person, chat_id), person.message_string(chat_id)
    assert [said(raw, person, chat_id)["ok"] for _ in range(2)] == [True, True]
    assert raw.ask("message", {"message_string": string, "content": "hello"})["error"]["code"] == "rate_limited"
    assert stored(door, chat_id) == (2, 2)
    assert door.open(person, chat_id).ask("message", {"message_string": string, "content": "hello"})["ok"]


def test_a_socket_that_floods_is_refused_and_goes_on_afterwards(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    for _ in range(1000):
        raw.post("cancel", {})
    raw.until(lambda: len(raw.acks) == 1000)
    assert {ack["error"]["code"] for ack in raw.acks.values()} == {"not_found", "rate_limited"}
    assert eventually(lambda: raw.ask("typing")["ok"])


# -- frames that no client sends ---------------------------------------------------------------------------------------


STRANGE = [
    "42/chat,[]",
    "42/chat,{}",
    "42/chat,7",
    '42/chat,["unheard of"]',
    '42/chat,900["unheard of", {}]',
    '42/chat,["connect", {}]',
    "42/chat,[7]",
    "42/chat,[null]",
    '42/chat,[["message"]]',
    '42/elsewhere,["message"]',
    '42["message"]',
    "43/chat,99[]",
    '42/chat,["message", ' + "[" * 5000 + "]" * 5000 + "]",
    '42/chat,900["answer",{"value":' + "[" * 900 + "]" * 900 + "}]",
    '42/chat,900["answer",{"value":NaN,"run_id":1e999}]',
    "40/chat,{}",
    "40/elsewhere,",
]


def test_a_frame_that_no_client_sends_changes_nothing(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    for number, frame in enumerate(STRANGE, start=1):
        raw.send(frame)
        assert said(raw, ada, chat_id)["ok"], frame
        assert stored(door, chat_id) == (number, number), frame


# In this mode the library's thread may find the WebSocket closed under it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("frame", ["x", "9", "4x", "4", "42/chat,{", "45/chat,", "451-/chat,[]", "4" * 500])
def test_a_frame_that_is_no_packet_harms_nobody_else(door: Door, ada: Person, chat_id: str, frame: str) -> None:
    bad, good = door.open(ada, chat_id), door.open(ada, chat_id)
    bad.send(frame)
    assert said(good, ada, chat_id)["ok"]


def test_a_frame_that_is_too_large_ends_the_socket_alone(door: Door, ada: Person, chat_id: str) -> None:
    bad, good = door.open(ada, chat_id), door.open(ada, chat_id)
    bad.send("42/chat," + json.dumps(["message", {"content": "x" * 2_000_000}]))
    assert bad.until_closed()
    assert said(good, ada, chat_id)["ok"]


def test_an_event_named_connect_moves_no_socket_to_another_chat(door: Door, ada: Person, workspace_id: str, chat_id: str) -> None:
    other = ada.chat(workspace_id=workspace_id)
    raw = door.open(ada, chat_id)
    raw.send("42/chat," + json.dumps(["connect", {}, {"connection_string": ada.connection_string(other)}]))
    assert said(raw, ada, chat_id)["ok"]


# -- older clients -----------------------------------------------------------------------------------------------------


def old(door: Door, person: Person, chat_id: str) -> Raw:
    authorized = person.call("GET", f"/chat/authorize?chat_id={chat_id}")
    return Raw(door.url, query={"chat_id": chat_id, "connection_string": authorized["string"]})


@pytest.mark.parametrize("is_text", [True, False])
def test_an_older_client_gets_feedback_for_what_it_says(door: Door, ada: Person, chat_id: str, is_text: bool) -> None:
    raw, new = old(door, ada, chat_id), door.open(ada, chat_id)
    string = ada.call("GET", f"/chat/authorize/message?chat_id={chat_id}")["string"]
    sent = {"message": "hello", "chat_id": chat_id, "message_string": string}
    raw.post("chat_message", json.dumps(sent) if is_text else sent)
    feedback = raw.until_event("feedback")
    assert json.loads(feedback) == {"type": "message_received", "message": "hello", "chat_id": chat_id}
    assert new.until_event("message")["content"] == "hello"
    door.happen(chat_id, "message", role="assistant", content="Good morning")
    assert raw.until_event("message") == "Good morning"
    assert [kind for kind, _ in raw.events] == ["feedback", "message"]


def test_an_older_client_that_names_another_chat_is_refused(door: Door, ada: Person, workspace_id: str, chat_id: str) -> None:
    string = ada.connection_string(chat_id)
    query = {"chat_id": ada.chat(workspace_id=workspace_id), "connection_string": string}
    assert Raw(door.url, query=query).refusal == "invalid"
    assert connect(door, string).refusal is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', '{"message": "hello"}', '{"message": "\\ud800"}'])
def test_an_older_client_that_sends_no_message_is_refused(door: Door, ada: Person, chat_id: str, text: str) -> None:
    raw = old(door, ada, chat_id)
    assert raw.ask("chat_message", text)["error"]["code"] == "invalid"
    assert stored(door, chat_id) == (0, 0)


def test_an_older_client_that_names_another_chat_in_a_message_is_refused(door: Door, ada: Person, chat_id: str) -> None:
    raw = old(door, ada, chat_id)
    sent = {"message": "hello", "chat_id": "another", "message_string": ada.message_string(chat_id)}
    assert raw.ask("chat_message", sent)["error"]["code"] == "invalid"


# -- typing ------------------------------------------------------------------------------------------------------------


def test_that_somebody_types_is_passed_on_once_a_second(door: Door, ada: Person, chat_id: str) -> None:
    first, second, older = door.open(ada, chat_id), door.open(ada, chat_id), old(door, ada, chat_id)
    assert all(first.ask("typing", {"x": 1})["ok"] for _ in range(20))
    assert second.until_event("typing") == {"user_id": second.until_event("session")["user_id"], "chat_id": chat_id}
    said(first, ada, chat_id)
    second.until_event("message")
    assert len(second.of("typing")) == 1
    assert older.of("typing") == []


# -- runs of other chats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", [None, 7, [], {}, "", "\x00", "x", "00000000-0000-0000-0000-000000000000"])
def test_a_run_that_is_not_there_cannot_be_cancelled_or_answered(door: Door, ada: Person, chat_id: str, run_id: Any) -> None:
    raw = door.open(ada, chat_id)
    assert raw.ask("cancel", {"run_id": run_id})["error"]["code"] == "not_found"
    assert raw.ask("answer", {"run_id": run_id, "value": 1})["error"]["code"] == "not_found"


def test_a_run_of_another_chat_cannot_be_cancelled_or_answered(door: Door, ada: Person, ben: Person, chat_id: str) -> None:
    run_id = said(door.open(ada, chat_id), ada, chat_id)["run_id"]
    raw = door.open(ben, ben.chat("echo"))
    assert raw.ask("cancel", {"run_id": run_id})["error"]["code"] == "not_found"
    assert raw.ask("answer", {"run_id": run_id, "value": 1})["error"]["code"] == "not_found"


def test_a_run_that_asks_nothing_cannot_be_answered_but_cancelled(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    run_id = said(raw, ada, chat_id)["run_id"]
    assert raw.ask("answer", {"run_id": run_id, "value": 1})["error"]["code"] == "nothing_asked"
    assert raw.ask("cancel", {"run_id": run_id}) == {"ok": True, "run_id": run_id, "status": "cancelled"}
    raw.until(lambda: "cancelled" in [run["status"] for run in raw.of("run")])


@pytest.mark.parametrize("value", ["\x00", "\ud800", nested(300), 2**70])
def test_an_answer_that_cannot_be_stored_is_refused(door: Door, ada: Person, chat_id: str, value: Any) -> None:
    raw = door.open(ada, chat_id)
    run_id = said(raw, ada, chat_id)["run_id"]
    assert raw.ask("answer", {"run_id": run_id, "value": value})["error"]["code"] == "invalid"


def test_an_answer_without_a_value_or_with_a_wrong_question_is_refused(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    run_id = said(raw, ada, chat_id)["run_id"]
    assert raw.ask("answer", {"run_id": run_id})["error"]["code"] == "invalid"
    assert raw.ask("answer", {"run_id": run_id, "value": 1, "interrupt_id": 7})["error"]["code"] == "invalid"


# -- sockets that ask for nothing --------------------------------------------------------------------------------------


def test_a_transport_that_asks_for_no_chat_between_two_checks_is_closed(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    silent = websocket.create_connection(door.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket", timeout=10)
    assert silent.recv().startswith("0")
    watch = door.app.extensions["chat_gate"].watch
    watch.close_silent()
    refused = connect(door, "no string")
    watch.close_silent()
    assert silent.recv() in ("1", "")
    assert raw.ask("typing")["ok"]
    refused.close()


# -- clients that poll -------------------------------------------------------------------------------------------------


def polled(url: str) -> list[str]:
    """The packets of an answer to a long poll."""
    return requests.get(url, timeout=30).text.split("\x1e")


def test_a_client_that_polls_may_send_and_is_sent_many_events_at_once(door: Door, ada: Person, chat_id: str) -> None:
    opened = requests.get(f"{door.url}/socket.io/?EIO=4&transport=polling", timeout=10).text
    url = f"{door.url}/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
    requests.post(url, data="40/chat," + json.dumps({"connection_string": ada.connection_string(chat_id)}), timeout=10)
    packets = polled(url)
    while not any(packet.startswith('42/chat,["session"') for packet in packets):
        packets += polled(url)
    assert packets[0].startswith("40/chat,")
    events = [f'42/chat,{number}["typing",{{}}]' for number in range(100)]
    assert requests.post(url, data="\x1e".join(events), timeout=10).text == "OK"
    door.happen(chat_id, "token", times=100, delta="x")
    sizes, got = [], []
    while (
        len([packet for packet in got if packet.startswith("42")]) < 100 or len([packet for packet in got if packet.startswith("43")]) < 100
    ):
        page = polled(url)
        sizes.append(len(page))
        got += page
    assert max(sizes) <= 16
    assert [packet for packet in got if packet.startswith("43")] == [f'43/chat,{number}[{{"ok":true}}]' for number in range(100)]
    tokens = [json.loads(packet[8:])[1] for packet in got if packet.startswith('42/chat,["token"')]
    assert [token["seq"] for token in tokens] == list(range(1, 101))
