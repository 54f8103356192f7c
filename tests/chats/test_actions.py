"""What is stored of a conversation: what an agent is given, its answer once, and nothing of a chat that is gone."""

from __future__ import annotations

import concurrent.futures
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from server.chats import actions
from server.chats.access import own_chat
from server.chats.models import Message, thread_of
from server.kit.clock import now
from server.kit.db import db
from server.kit.errors import Refusal
from server.kit.http import parse_id
from server.runs.models import Run
from tests.chats.conftest import Door
from tests.chats.test_routes import kept
from tests.talk import Person


@pytest.fixture(scope="module")
def user_id(ada: Person) -> uuid.UUID:
    return uuid.UUID(ada.call("GET", "/user")["user"]["user_id"])


def post(door: Door, ada: Person, user_id: uuid.UUID, chat_id: str, content: str, **options: Any) -> uuid.UUID:
    """Say something; the run that is to answer."""
    string = ada.message_string(chat_id)
    with door.app.app_context():
        chat = uuid.UUID(chat_id)
        settings = door.app.config["SETTINGS"]
        return actions.post(chat, user_id, message_string=string, content=content, settings=settings, **options).run_id


def succeed(door: Door, run_id: uuid.UUID, content: str) -> None:
    """Let a run end as its worker ends it."""
    output = {"content": content, "message_id": str(uuid.uuid4())}
    values = {"status": "success", "output": output, "then_due_at": now(), "finished_at": now()}
    with door.app.app_context():
        db.session.execute(sa.update(Run).where(Run.id == run_id).values(**values))
        db.session.commit()


def record(door: Door, run_id: uuid.UUID) -> None:
    with door.app.app_context():
        actions.record_reply(run_id)


def given(door: Door, run_id: uuid.UUID) -> list[str]:
    """What the agent of a run is given to read."""
    with door.app.app_context():
        run = db.session.get_one(Run, run_id)
        assert run.input is not None
        return [message["content"] for message in run.input["messages"]]


def test_an_agent_is_given_what_was_said_to_and_by_others_since_it_last_took_part(door: Door, ada: Person, user_id: uuid.UUID) -> None:
    workspace_id = ada.workspace("echo", "documents")
    chat_id = ada.chat(workspace_id=workspace_id)
    first = post(door, ada, user_id, chat_id, "one")
    succeed(door, first, "an answer")
    record(door, first)
    second = post(door, ada, user_id, chat_id, "@documents two")
    third = post(door, ada, user_id, chat_id, "three", agent_id="documents")
    fourth = post(door, ada, user_id, chat_id, "four", agent_id="echo")
    assert given(door, first) == ["one"]
    assert given(door, second) == ["one", "[echo answered] an answer", "two"]
    assert given(door, third) == ["three"]
    assert given(door, fourth) == ["@documents two", "three", "four"]
    with door.app.app_context():
        threads = [db.session.get_one(Run, run_id).thread_id for run_id in (first, second, third, fourth)]
    chat = uuid.UUID(chat_id)
    assert threads == [thread_of(chat, "echo"), thread_of(chat, "documents"), thread_of(chat, "documents"), thread_of(chat, "echo")]


def test_an_answer_is_stored_once_however_often_it_is_recorded(door: Door, ada: Person, user_id: uuid.UUID, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    run_id = post(door, ada, user_id, chat_id, "hello")
    succeed(door, run_id, "good morning")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: record(door, run_id), range(16)))
    raw.until_event("message", 2)
    assert [message["content"] for message in ada.messages(chat_id)] == ["hello", "good morning"]
    assert ada.messages(chat_id) == raw.of("message")


def test_the_answer_of_a_chat_that_is_gone_is_let_go(door: Door, ada: Person, user_id: uuid.UUID, chat_id: str) -> None:
    run_id = post(door, ada, user_id, chat_id, "hello")
    succeed(door, run_id, "good morning")
    ada.call("DELETE", f"/chat?chat_id={chat_id}")
    record(door, run_id)
    assert kept(door, chat_id) == [0, 0, 0, 0, 0]


def test_an_answer_that_meets_the_end_of_its_chat_leaves_nothing(door: Door, ada: Person, user_id: uuid.UUID, workspace_id: str) -> None:
    for _ in range(5):
        chat_id = ada.chat(workspace_id=workspace_id)
        run_id = post(door, ada, user_id, chat_id, "hello")
        succeed(door, run_id, "good morning")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            recording = pool.submit(record, door, run_id)
            ada.call("DELETE", f"/chat?chat_id={chat_id}")
            recording.result()
        assert kept(door, chat_id) == [0, 0, 0, 0, 0]


def test_a_message_that_meets_the_end_of_its_chat_leaves_nothing(door: Door, ada: Person, user_id: uuid.UUID, workspace_id: str) -> None:
    settings = door.app.config["SETTINGS"]

    def say(chat_id: str, string: str) -> str:
        with door.app.app_context():
            try:
                actions.post(uuid.UUID(chat_id), user_id, message_string=string, content="hello", settings=settings)
            except Refusal as refusal:
                return refusal.code
        return "ok"

    def delete(chat_id: str) -> str:
        with door.app.app_context():
            actions.delete(own_chat(chat_id, user_id))
        return "deleted"

    for _ in range(8):
        chat_id = ada.chat(workspace_id=workspace_id)
        strings = [ada.message_string(chat_id) for _ in range(4)]
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            saying = [pool.submit(say, chat_id, string) for string in strings]
            deleting = pool.submit(delete, chat_id)
            assert {each.result() for each in saying} <= {"ok", "revoked"}
            assert deleting.result() == "deleted"
        assert kept(door, chat_id) == [0, 0, 0, 0, 0]


def test_a_long_message_names_its_chat_and_a_reply_does_not(door: Door, ada: Person, user_id: uuid.UUID, chat_id: str) -> None:
    run_id = post(door, ada, user_id, chat_id, "word " * 500)
    succeed(door, run_id, "an answer")
    record(door, run_id)
    name = ada.call("GET", f"/chat?chat_id={chat_id}")["name"]
    assert (len(name) <= 60, name.startswith("word word")) == (True, True)
    with door.app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).where(Message.chat_id == parse_id(chat_id))) == 2
