"""What a socket hears: everything after its number, in order, each once, whatever happens to the sockets around it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from server.kit.clock import after
from server.kit.db import db
from server.kit.redis import client as redis_client
from server.realtime import log
from server.realtime.models import EventRow
from tests.chats.conftest import Door, MakeDoor
from tests.chats.raw import Raw
from tests.stack import eventually
from tests.talk import Person

MANY = 400


def happens(door: Door, chat_id: str, count: int, *, at_once: int = 10, chars: int = 5) -> None:
    """So many events, some in each transaction."""
    for _ in range(0, count, at_once):
        door.happen(chat_id, "token", times=min(at_once, count), delta="x" * chars)


@pytest.fixture
def pour(door: Door, chat_id: str) -> Iterator[threading.Thread]:
    """MANY events that happen while the test goes on."""
    pouring = threading.Thread(target=happens, args=(door, chat_id, MANY))
    yield pouring
    pouring.join()


def comes_back(door: Door, raw: Raw, chat_id: str, since: int) -> Raw:
    token = raw.until_event("session")["resume_token"]
    raw.close()
    back = Raw(door.url, {"chat_id": chat_id, "resume_token": token}, since=since)
    back.until_event("session")
    return back


def test_without_a_number_a_socket_hears_what_happens_from_now_on(door: Door, ada: Person, chat_id: str) -> None:
    happens(door, chat_id, 3)
    raw = door.open(ada, chat_id)
    assert raw.until_event("session")["last_seq"] == 3
    happens(door, chat_id, 2)
    raw.until_event("token", 2)
    assert raw.numbers() == [4, 5]


def test_with_a_number_a_socket_hears_everything_after_it(door: Door, ada: Person, chat_id: str) -> None:
    happens(door, chat_id, 1200, at_once=400)
    raw = door.open(ada, chat_id, since=3)
    happens(door, chat_id, 1)
    raw.until_event("token", 1198)
    assert raw.numbers() == list(range(4, 1202))


def test_a_number_beyond_the_end_is_the_end(door: Door, ada: Person, chat_id: str) -> None:
    happens(door, chat_id, 2)
    raw = door.open(ada, chat_id, since=10**30)
    happens(door, chat_id, 1)
    raw.until_event("token")
    assert raw.numbers() == [3]


def test_resume_sends_everything_after_a_number_then_what_happens(door: Door, ada: Person, chat_id: str) -> None:
    happens(door, chat_id, 5)
    raw = door.open(ada, chat_id)
    assert raw.ask("resume", {"since": 2}) == {"ok": True, "last_seq": 5}
    happens(door, chat_id, 1)
    raw.until(lambda: 6 in raw.numbers())
    assert raw.numbers() == [3, 4, 5, 6]


def test_a_resume_takes_the_place_of_the_one_before(door: Door, ada: Person, chat_id: str, pour: threading.Thread) -> None:
    raw = door.open(ada, chat_id)
    pour.start()
    for _ in range(10):
        raw.post("resume", {"since": 0})
    raw.until(lambda: raw.numbers()[-1:] == [MANY])
    heard = raw.numbers()
    last_start = max(place for place, number in enumerate(heard) if number == 1)
    assert heard[last_start:] == list(range(1, MANY + 1))


def test_twenty_cuts_lose_and_double_nothing(door: Door, ada: Person, chat_id: str, pour: threading.Thread) -> None:
    chance = random.Random(7)
    raw = door.open(ada, chat_id, since=0)
    heard: list[int] = []
    pour.start()
    for cut in range(1, 21):
        raw.until(lambda cut=cut: len(heard) + len(raw.numbers()) >= cut * chance.randint(1, MANY // 25))  # noqa: B023
        heard += raw.numbers()
        raw = comes_back(door, raw, chat_id, heard[-1] if heard else 0)
    raw.until(lambda: raw.numbers()[-1:] == [MANY])
    assert heard + raw.numbers() == list(range(1, MANY + 1))


def test_a_socket_that_is_ahead_of_this_process_hears_nothing_twice(door: Door, ada: Person, chat_id: str) -> None:
    raw = door.open(ada, chat_id)
    (feed,) = [feed for feed in door.rooms.feeds.values() if str(feed.chat_id) == chat_id]
    opened: list[Raw] = []
    with feed.lock:
        happens(door, chat_id, 3)
        joining = threading.Thread(target=lambda: opened.append(door.open(ada, chat_id, since=3)))
        joining.start()
        eventually(lambda: len(feed.seats) == 2)
    joining.join()
    happens(door, chat_id, 1)
    opened[0].until_event("token")
    raw.until_event("token", 4)
    assert (raw.numbers(), opened[0].numbers()) == ([1, 2, 3, 4], [4])


def test_who_comes_and_goes_disturbs_nobody_and_leaves_nothing_behind(
    door: Door, ada: Person, chat_id: str, pour: threading.Thread
) -> None:
    steady = door.open(ada, chat_id)

    def come_and_go() -> None:
        for _ in range(5):
            visitor = door.open(ada, chat_id, since=0)
            visitor.close()

    visitors = [threading.Thread(target=come_and_go) for _ in range(4)]
    pour.start()
    for visitor in visitors:
        visitor.start()
    steady.until_event("token", MANY)
    for visitor in visitors:
        visitor.join()
    assert steady.numbers() == list(range(1, MANY + 1))
    steady.close()
    eventually(lambda: not [seat for seat in door.rooms.seats.values() if str(seat.chat_id) == chat_id], what="the end of the seats")
    eventually(lambda: not [feed for feed in door.rooms.feeds.values() if str(feed.chat_id) == chat_id], what="the end of the feed")


def test_a_socket_that_asks_for_what_is_no_longer_kept_is_told_so_and_goes_on(door: Door, ada: Person, chat_id: str) -> None:
    happens(door, chat_id, 3)
    with door.app.app_context():
        db.session.execute(sa.update(EventRow).where(EventRow.stream == f"chat:{chat_id}").values(created_at=after(-1000)))
        log.trim(before=after(-500), keep_runs=[], keep_streams=[])
        db.session.commit()
    raw = door.open(ada, chat_id, since=1)
    error = raw.until_event("error")
    assert (error["code"], error["retryable"], "seq" in error) == ("log_trimmed", False, False)
    happens(door, chat_id, 1)
    raw.until_event("token")
    assert raw.numbers() == [4]


def test_a_socket_that_reads_slowly_holds_little_and_misses_nothing(doors: MakeDoor, door: Door, ada: Person, chat_id: str) -> None:
    small = doors(socket_queue=50)
    small.rooms.stalled_s = 120.0
    raw, other = small.open(ada, chat_id), small.open(ada, chat_id)
    (seat,) = [each for each in small.rooms.seats.values() if str(each.chat_id) == chat_id][:1]
    held: list[int] = []

    def hears_all() -> bool:
        held.append(seat.wire.unread()[0])
        return len(other.of("token")) == 800

    for _ in range(16):
        happens(door, chat_id, 50, at_once=50, chars=10_000)
        hears_all()
    other.until(hears_all)
    assert other.numbers() == list(range(1, 801))
    assert 0 < max(held) < 600
    raw.until_event("token", 800)
    assert raw.numbers() == list(range(1, 801))


def test_a_socket_that_does_not_read_is_cut_off_and_comes_back_without_a_gap(
    doors: MakeDoor, door: Door, ada: Person, chat_id: str
) -> None:
    small = doors(socket_queue=50)
    small.rooms.stalled_s = 0.3
    raw = small.open(ada, chat_id)
    (seat,) = [each for each in small.rooms.seats.values() if str(each.chat_id) == chat_id]
    happens(door, chat_id, 800, at_once=50, chars=10_000)
    eventually(lambda: seat.wire.is_gone, what="the cut")
    small.rooms.stalled_s = 120.0
    assert raw.until_closed()
    heard = raw.numbers()
    assert heard == list(range(1, len(heard) + 1))
    assert 0 < len(heard) < 800
    back = comes_back(small, raw, chat_id, heard[-1])
    back.until(lambda: back.numbers()[-1:] == [800])
    assert heard + back.numbers() == list(range(1, 801))


def test_all_listeners_of_a_process_share_one_blocking_connection(door: Door, ada: Person, workspace_id: str) -> None:
    sockets = [door.open(ada, ada.chat(workspace_id=workspace_id)) for _ in range(10)]
    with door.app.app_context():
        assert len(redis_client().client_list(_type="pubsub")) == 1
    assert all(raw.link.connected for raw in sockets)
