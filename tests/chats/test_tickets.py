"""The signed strings of a chat: each holds for its purpose alone, letter by letter."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

import pytest
from flask import Flask

from server.chats import tickets
from server.kit.signing import Signed, StringExpired, StringInvalid
from server.settings import Settings

CHAT, USER = uuid.uuid4(), uuid.uuid4()
LETTERS = string.ascii_letters + string.digits + "-_.=+/ \n!é"
MUTATIONS = 3_000


def signed(purpose: str, settings: Settings) -> Signed:
    if purpose == tickets.CONNECTION:
        return tickets.connection_string(CHAT, USER, "login:1", settings)
    if purpose == tickets.MESSAGE:
        return tickets.message_string(CHAT, USER, "login:1", settings)
    return tickets.resume_token(tickets.Ticket(str(uuid.uuid4()), CHAT, USER, "login:1", 3), settings)


PURPOSES = [tickets.CONNECTION, tickets.MESSAGE, tickets.RESUME]


@pytest.fixture
def in_app(migrated_app: Flask) -> object:
    with migrated_app.app_context():
        yield


@pytest.mark.usefixtures("in_app")
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_string_holds_for_its_purpose_and_no_other(settings: Settings, purpose: str) -> None:
    text = signed(purpose, settings).text
    ticket = tickets.read(purpose, text, life_s=60)
    assert (ticket.chat_id, ticket.user_id, ticket.credential) == (CHAT, USER, "login:1")
    for other in set(PURPOSES) - {purpose}:
        with pytest.raises(StringInvalid):
            tickets.read(other, text, life_s=60)


@pytest.mark.usefixtures("in_app")
def test_two_strings_are_never_the_same(settings: Settings) -> None:
    assert len({signed(tickets.MESSAGE, settings).text for _ in range(100)}) == 100


@pytest.mark.usefixtures("in_app")
def test_a_string_ends_with_its_life(settings: Settings) -> None:
    text = signed(tickets.MESSAGE, settings).text
    with pytest.raises(StringExpired):
        tickets.read(tickets.MESSAGE, text, life_s=-1)


def replaced(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + chance.choice(LETTERS) + text[place + 1 :]


def inserted(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(LETTERS) + text[place:]


def shortened(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + text[place + 1 :]


def last_replaced(text: str, chance: random.Random) -> str:
    return text[:-1] + chance.choice(LETTERS)


@pytest.mark.usefixtures("in_app")
@pytest.mark.parametrize("mutate", [replaced, inserted, shortened, last_replaced])
def test_a_string_that_was_changed_anywhere_is_refused(settings: Settings, mutate: Callable[[str, random.Random], str]) -> None:
    text, chance = signed(tickets.CONNECTION, settings).text, random.Random(11)
    accepted = []
    for _ in range(MUTATIONS):
        changed = mutate(text, chance)
        try:
            tickets.read(tickets.CONNECTION, changed, life_s=60)
        except StringInvalid:
            continue
        if changed != text:
            accepted.append(changed)
    assert accepted == []


@pytest.mark.usefixtures("in_app")
@pytest.mark.parametrize("text", [None, 7, b"a.b.c", [], {}, "", ".", "..", "...", "\ud800.\ud800", "a" * 10_000, "é.é.é", "\x00"])
def test_what_is_no_string_is_refused(text: object) -> None:
    with pytest.raises(StringInvalid):
        tickets.read(tickets.MESSAGE, text, life_s=60)
