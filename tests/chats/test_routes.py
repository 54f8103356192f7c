"""The chats over HTTP: every row of the contract, with its refusals word for word."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import sqlalchemy as sa

from server.chats import actions
from server.chats.models import Connection, Message
from server.kit.db import db
from server.kit.http import parse_id
from server.realtime.models import EventRow, Stream
from server.runs.models import Run
from tests.chats.conftest import Door, again
from tests.talk import Person

NOBODYS = "00000000-0000-7000-8000-000000000000"
ABOUT_A_CHAT = [("GET", "/chat"), ("DELETE", "/chat"), ("GET", "/chat/authorize"), ("GET", "/chat/authorize/message")]


def say(door: Door, person: Person, chat_id: str, *contents: str) -> None:
    """Messages of a person, one after the other."""
    user_id = person.call("GET", "/user")["user"]["user_id"]
    for content in contents:
        string = person.message_string(chat_id)
        with door.app.app_context():
            settings = door.app.config["SETTINGS"]
            actions.post(parse_id(chat_id), parse_id(user_id), message_string=string, content=content, settings=settings)  # type: ignore[arg-type]


def share(owner: Person, workspace_id: str, member: Person, role: str) -> None:
    owner.call("POST", f"/workspace/{workspace_id}/members", json={"email": member.email, "role": role})


def kept(door: Door, chat_id: str) -> list[int]:
    """How many messages, connections, runs, events and counters are kept of a chat."""
    chat, stream = parse_id(chat_id), f"chat:{chat_id}"
    wanted = [
        (Message, Message.chat_id == chat),
        (Connection, Connection.chat_id == chat),
        (Run, Run.stream == stream),
        (EventRow, EventRow.stream == stream),
        (Stream, Stream.name == stream),
    ]
    with door.app.app_context():
        return [db.session.scalar(sa.select(sa.func.count()).select_from(model).where(mine)) or 0 for model, mine in wanted]


# -- POST /chat --------------------------------------------------------------------------------------------------------


def test_a_chat_is_made_in_a_workspace_of_ones_own(ada: Person, workspace_id: str) -> None:
    user_id = ada.call("GET", "/user")["user"]["user_id"]
    made = ada.call("POST", f"/chat?workspace_id={workspace_id}")
    assert made["msg"] == "Chat created successfully"
    assert made["chat"].items() >= {"workspace_id": workspace_id, "created_by": user_id}.items()
    assert made["workspace"].items() >= {"workspace_id": workspace_id, "owner": user_id}.items()
    assert parse_id(made["chat"]["chat_id"]) is not None


@pytest.mark.parametrize("query", ["", "?workspace_id=", "?chat_id=x"])
def test_a_chat_without_a_workspace_is_refused(ada: Person, query: str) -> None:
    assert ada.call("POST", f"/chat{query}", expect=400) == {"msg": "Missing workspace id"}


@pytest.mark.parametrize("wrong", [NOBODYS, "x", "%F0%9F%98%80", "x" * 3000, "1;drop"])
def test_a_chat_in_a_workspace_that_is_not_there_is_refused(ada: Person, wrong: str) -> None:
    assert ada.call("POST", f"/chat?workspace_id={wrong}", expect=404) == {"msg": "Workspace not found"}


def test_a_chat_in_somebody_elses_workspace_is_refused(ben: Person, workspace_id: str) -> None:
    assert ben.call("POST", f"/chat?workspace_id={workspace_id}", expect=401) == {"msg": "User is not the owner of the workspace"}


def test_an_editor_may_have_chats_and_a_viewer_may_not(ada: Person) -> None:
    carl, workspace_id = Person(ada.base_url), ada.workspace()
    share(ada, workspace_id, carl, "viewer")
    assert carl.call("POST", f"/chat?workspace_id={workspace_id}", expect=401) == {"msg": "User is not the owner of the workspace"}
    share(ada, workspace_id, carl, "editor")
    assert carl.call("POST", f"/chat?workspace_id={workspace_id}")["chat"]["workspace_id"] == workspace_id


# -- one chat ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ABOUT_A_CHAT)
@pytest.mark.parametrize("query", ["", "?chat_id=", "?chat_id=x", f"?chat_id={NOBODYS}", "?chat_id=%F0%9F%98%80"])
def test_a_chat_that_is_not_there_is_not_found(ada: Person, method: str, path: str, query: str) -> None:
    assert ada.call(method, path + query, expect=404) == {"msg": "Chat not found"}


@pytest.mark.parametrize(("method", "path"), ABOUT_A_CHAT)
def test_a_nul_character_is_refused(ada: Person, method: str, path: str) -> None:
    ada.call(method, f"{path}?chat_id=%00", expect=422)


@pytest.mark.parametrize(("method", "path"), ABOUT_A_CHAT)
def test_somebody_elses_chat_is_refused(ben: Person, chat_id: str, method: str, path: str) -> None:
    assert ben.call(method, f"{path}?chat_id={chat_id}", expect=401) == {"msg": "User is not the owner of the chat"}


@pytest.mark.parametrize(
    ("method", "path"),
    [*ABOUT_A_CHAT, ("POST", "/chat"), ("GET", f"/chat/{NOBODYS}/messages"), ("GET", f"/workspace/{NOBODYS}/chats")],
)
def test_nobody_gets_in_without_showing_who_they_are(door: Door, method: str, path: str) -> None:
    answer = requests.request(method, door.url + path, timeout=10)
    assert (answer.status_code, list(answer.json())) == (401, ["msg"])


@pytest.mark.parametrize(("method", "path"), ABOUT_A_CHAT)
def test_a_member_of_any_role_does_not_own_somebody_elses_chat(ada: Person, method: str, path: str) -> None:
    workspace_id = ada.workspace()
    chat_id = ada.chat(workspace_id=workspace_id)
    carl = Person(ada.base_url)
    for role in ("viewer", "editor"):
        share(ada, workspace_id, carl, role)
        assert carl.call(method, f"{path}?chat_id={chat_id}", expect=401) == {"msg": "User is not the owner of the chat"}


@pytest.mark.parametrize(("method", "path"), ABOUT_A_CHAT)
def test_the_owner_of_a_workspace_does_not_own_an_editors_chat(ada: Person, ben: Person, method: str, path: str) -> None:
    workspace_id = ada.workspace()
    share(ada, workspace_id, ben, "editor")
    chat_id = ben.chat(workspace_id=workspace_id)
    assert ada.call(method, f"{path}?chat_id={chat_id}", expect=401) == {"msg": "User is not the owner of the chat"}


def test_a_chat_shows_whose_it_is(ada: Person, workspace_id: str, chat_id: str) -> None:
    shown = ada.call("GET", f"/chat?chat_id={chat_id}")
    user_id = ada.call("GET", "/user")["user"]["user_id"]
    assert shown.items() >= {"chat_id": chat_id, "owner": user_id, "workspace_id": workspace_id}.items()


@pytest.mark.parametrize(("path", "name"), [("/chat/authorize", "connection_string"), ("/chat/authorize/message", "message_string")])
def test_a_signed_string_says_when_it_ends(ada: Person, chat_id: str, path: str, name: str) -> None:
    signed = ada.call("GET", f"{path}?chat_id={chat_id}")
    user_id = ada.call("GET", "/user")["user"]["user_id"]
    assert signed.items() >= {"created_by": user_id, "chat_id": chat_id, "string": signed[name]}.items()
    assert signed["created_at"] < signed["expires_at"]
    assert signed["expires_at"].endswith("Z")
    assert ada.call("GET", f"{path}?chat_id={chat_id}")[name] != signed[name]


def test_an_api_key_is_taken_wherever_a_token_is(ada: Person, chat_id: str) -> None:
    key = ada.call("POST", "/user/api_key", json={"name": "tests"})["api_key"]
    for headers in ({"X-Api-Key": key}, {"Authorization": f"Bearer {key}"}):
        answer = requests.get(f"{ada.base_url}/chat/authorize?chat_id={chat_id}", headers=headers, timeout=10)
        assert answer.status_code == 200


def test_an_editor_who_may_only_read_from_now_on_loses_the_own_chat(ada: Person, ben: Person) -> None:
    workspace_id = ada.workspace()
    share(ada, workspace_id, ben, "editor")
    chat_id = ben.chat(workspace_id=workspace_id)
    share(ada, workspace_id, ben, "viewer")
    assert ben.call("GET", f"/chat/authorize?chat_id={chat_id}", expect=401) == {"msg": "User is not the owner of the chat"}
    assert ben.call("GET", f"/chat/{chat_id}/messages")["messages"] == []


# -- deleting ----------------------------------------------------------------------------------------------------------


def test_a_deleted_chat_is_gone_with_all_that_was_said_and_the_others_stay(
    door: Door, ada: Person, workspace_id: str, chat_id: str
) -> None:
    other = ada.chat(workspace_id=workspace_id)
    for each in (chat_id, other):
        say(door, ada, each, "hello")
        door.open(ada, each).close()
    assert ada.call("DELETE", f"/chat?chat_id={chat_id}") == {"msg": "Chat deleted successfully"}
    assert ada.call("DELETE", f"/chat?chat_id={chat_id}", expect=404) == {"msg": "Chat not found"}
    assert (kept(door, chat_id), kept(door, other)) == ([0, 0, 0, 0, 0], [1, 1, 1, 1, 1])


def test_the_last_chat_of_a_workspace_is_the_newest_that_is_left(ada: Person) -> None:
    workspace_id = ada.workspace()
    first, second = ada.chat(workspace_id=workspace_id), ada.chat(workspace_id=workspace_id)

    def last() -> Any:
        return ada.call("GET", f"/workspace/{workspace_id}")["workspace"]["last_chat_id"]

    assert last() == second
    ada.call("DELETE", f"/chat?chat_id={second}")
    assert last() == first
    ada.call("DELETE", f"/chat?chat_id={first}")
    assert last() is None


def test_with_a_workspace_all_that_its_chats_hold_is_gone(door: Door, ada: Person) -> None:
    workspace_id = ada.workspace("echo")
    chats = [ada.chat(workspace_id=workspace_id) for _ in range(2)]
    for chat_id in chats:
        say(door, ada, chat_id, "hello")
    ada.call("DELETE", f"/workspace/{workspace_id}")
    assert [kept(door, chat_id) for chat_id in chats] == [[0, 0, 0, 0, 0]] * 2


def test_with_an_account_all_that_its_chats_hold_is_gone(door: Door) -> None:
    person = Person(door.url)
    chat_id = person.chat("echo")
    say(door, person, chat_id, "hello")
    again(person).call("DELETE", "/user", json={"password": "correct horse battery"})
    assert kept(door, chat_id) == [0, 0, 0, 0, 0]


# -- lists -------------------------------------------------------------------------------------------------------------


def test_the_chats_of_a_workspace_are_listed_newest_first_for_everybody_in_it(ada: Person) -> None:
    workspace_id = ada.workspace()
    chats = [ada.chat(workspace_id=workspace_id) for _ in range(3)]
    viewer = Person(ada.base_url)
    share(ada, workspace_id, viewer, "viewer")
    for person in (ada, viewer):
        listed = person.call("GET", f"/workspace/{workspace_id}/chats")["chats"]
        assert [chat["chat_id"] for chat in listed] == chats[::-1]
        assert {chat["workspace_id"] for chat in listed} == {workspace_id}


def test_the_chats_of_a_workspace_are_not_for_others(ada: Person, ben: Person, workspace_id: str) -> None:
    assert ben.call("GET", f"/workspace/{workspace_id}/chats", expect=403) == {"msg": "User does not have access to the workspace"}
    for wrong in (NOBODYS, "x"):
        assert ada.call("GET", f"/workspace/{wrong}/chats", expect=404) == {"msg": "Workspace not found"}


# -- history -----------------------------------------------------------------------------------------------------------


def test_the_history_is_read_page_by_page_newest_first(door: Door, ada: Person, chat_id: str) -> None:
    say(door, ada, chat_id, *"abcde")
    pages, before = [], ""
    while before is not None:
        page = ada.call("GET", f"/chat/{chat_id}/messages?limit=2{before and f'&before={before}'}")
        pages.append("".join(message["content"] for message in page["messages"]))
        before = page["next"]
    assert pages == ["ed", "cb", "a"]


def test_a_message_of_the_history_is_the_one_that_was_sent_live(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    raw.ask("message", {"message_string": ada.message_string(chat_id), "content": "Grüße 😀", "client_message_id": "c"})
    assert ada.call("GET", f"/chat/{chat_id}/messages")["messages"] == [raw.until_event("message")]


def test_the_history_says_from_where_a_run_in_progress_can_be_seen(door: Door, ada: Person, chat_id: str) -> None:
    assert ada.call("GET", f"/chat/{chat_id}/messages").items() >= {"last_seq": 0, "replay_from": 0, "next": None}.items()
    say(door, ada, chat_id, "hello")
    page = ada.call("GET", f"/chat/{chat_id}/messages")
    assert (page["last_seq"], page["replay_from"]) == (1, 1)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=",
        "limit=-1",
        "before=x",
        "before=-1",
        "before=1.5",
        "limit=1e1",
        "before=%00",
        f"before={10**40}",
    ],
)
def test_a_page_that_cannot_be_is_refused(ada: Person, chat_id: str, query: str) -> None:
    assert "msg" in ada.call("GET", f"/chat/{chat_id}/messages?{query}", expect=422)


def test_a_page_before_the_first_message_is_empty(door: Door, ada: Person, chat_id: str) -> None:
    say(door, ada, chat_id, "hello")
    assert len(ada.call("GET", f"/chat/{chat_id}/messages?before={2**63 - 1}")["messages"]) == 1
    assert ada.call("GET", f"/chat/{chat_id}/messages?before=0")["messages"] == []


def test_the_history_is_for_everybody_in_the_workspace_and_nobody_else(door: Door, ada: Person, ben: Person) -> None:
    workspace_id = ada.workspace("echo")
    chat_id = ada.chat(workspace_id=workspace_id)
    say(door, ada, chat_id, "hello")
    assert ben.call("GET", f"/chat/{chat_id}/messages", expect=401) == {"msg": "User is not the owner of the chat"}
    share(ada, workspace_id, ben, "viewer")
    assert len(ben.call("GET", f"/chat/{chat_id}/messages")["messages"]) == 1
    for wrong in (NOBODYS, "x"):
        assert ada.call("GET", f"/chat/{wrong}/messages", expect=404) == {"msg": "Chat not found"}


def test_a_chat_is_named_by_its_first_message(door: Door, ada: Person, chat_id: str) -> None:
    say(door, ada, chat_id, "  What is\n the  weather? ", "And tomorrow?")
    assert ada.call("GET", f"/chat?chat_id={chat_id}")["name"] == "What is the weather?"
