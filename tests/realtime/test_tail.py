"""Following a log while others write, while Redis comes and goes, and while the reader sleeps: each event once, in order."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from server.kit import redis
from server.kit.db import commit, db
from server.kit.embedded import valkey
from server.realtime import log, tail
from server.realtime.events import Event, Log, of_run, of_stream
from server.realtime.tail import PING, Follower, Tail, follow
from server.settings import Settings
from tests.stack import eventually


class Reader:
    """Somebody who follows a log in a thread of their own, and keeps the numbers of what came."""

    def __init__(self, app: Flask, source: Log, *, after: int = 0, heartbeat_s: float = 15.0) -> None:
        self.numbers: list[int] = []
        self.pings = 0
        self.follower = Follower(source)
        self._app = app
        self._source = source
        self._after = after
        self._heartbeat_s = heartbeat_s
        self._changed = threading.Condition()
        self.pause = threading.Event()
        self.pause.set()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self._app.app_context():
            for batch in follow(self._source, after=self._after, heartbeat_s=self._heartbeat_s, follower=self.follower):
                with self._changed:
                    if batch is PING:
                        self.pings += 1
                    else:
                        self.numbers += [event.number_in(self._source) for event in batch]
                    self._changed.notify_all()
                self.pause.wait(30)

    def wait(self, probe: Callable[[], bool], within_s: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(probe, within_s), (len(self.numbers), self.numbers[-3:])

    def await_number(self, number: int, within_s: float = 20.0) -> None:
        self.wait(lambda: bool(self.numbers) and self.numbers[-1] >= number, within_s)

    def close(self) -> None:
        self.pause.set()
        self.follower.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def read(app: Flask) -> Iterator[Callable[..., Reader]]:
    with contextlib.ExitStack() as stack:

        def begin(source: Log, **options: float) -> Reader:
            reader = Reader(app, source, **options)  # type: ignore[arg-type]
            stack.callback(reader.close)
            return reader

        yield begin


def append(stream: str, times: int = 1, *, at_a_time: int = 1) -> None:
    for number in range(times):
        log.append(stream, "said", {"n": number})
        if number % at_a_time == at_a_time - 1:
            commit()
    commit()


def connections(kind: str) -> list[bytes]:
    """The ids of Redis's connections of a kind."""
    listed = redis.client().execute_command("CLIENT", "LIST", "TYPE", kind)
    rows = (
        listed
        if isinstance(listed, list)
        else [dict(each.split("=", 1) for each in line.split()) for line in listed.decode().split("\n") if line]
    )
    return [row["id"] for row in rows]


# -- each once, in order -----------------------------------------------------------------------------------------------


def test_a_reader_that_comes_while_others_write_misses_nothing_and_gets_nothing_twice(app: Flask, read: Callable[..., Reader]) -> None:
    def write() -> None:
        with app.app_context():
            append("s", 1000, at_a_time=3)

    writer = threading.Thread(target=write)
    writer.start()
    readers = []
    for number in range(6):
        eventually(lambda number=number: log.last_number("s") >= 120 * number + 1, what="the writer")
        db.session.rollback()
        readers.append(read(of_stream("s")))
    writer.join(60)
    for reader in readers:
        reader.await_number(1000)
        assert reader.numbers == list(range(1, 1001))


def test_a_reader_begins_after_the_number_it_has(app: Flask, read: Callable[..., Reader]) -> None:
    append("s", 10)
    reader = read(of_stream("s"), after=7)
    append("s", 2)
    reader.await_number(12)
    assert reader.numbers == [8, 9, 10, 11, 12]


def test_frames_that_come_in_another_order_are_put_right_by_the_database(app: Flask, read: Callable[..., Reader]) -> None:
    reader = read(of_stream("s"))
    append("s", 1)
    reader.await_number(1)
    events: list[Event] = []
    for _ in range(4):
        with db.engine.begin() as connection:
            from server.kit.clock import now

            numbered = log.number_streams(connection, [Event("s", None, None, None, "said", b"{}", now())])
            log.store(connection, numbered)
            events += numbered
    for event in (events[2], events[0], events[3], events[1]):
        log.publish([event])
    reader.await_number(5)
    assert reader.numbers == [1, 2, 3, 4, 5]


def test_a_reader_that_leaves_more_unread_than_is_kept_for_it_is_sent_to_the_database(app: Flask, read: Callable[..., Reader]) -> None:
    reader = read(of_stream("s"))
    append("s", 1)
    reader.await_number(1)
    reader.pause.clear()
    append("s", 1)
    reader.await_number(2)
    append("s", 3 * tail.MAX_QUEUED, at_a_time=500)
    assert len(reader.follower._events) <= tail.MAX_QUEUED
    reader.pause.set()
    reader.await_number(2 + 3 * tail.MAX_QUEUED, within_s=60)
    assert reader.numbers == list(range(1, 3 + 3 * tail.MAX_QUEUED))


def test_a_run_and_its_stream_are_followed_each_by_its_own_numbers(app: Flask, read: Callable[..., Reader]) -> None:
    from server.runs import actions
    from server.runs.models import Run
    from tests.runs.factories import accepted, owner

    append("s", 2)
    run_id = accepted(owner(), stream="s")
    of_both = read(of_stream("s")), read(of_run(run_id))
    run = db.session.get_one(Run, run_id, with_for_update=True)
    actions.note(run, [("step", {}), ("step", {})])
    commit()
    of_both[0].await_number(4)
    of_both[1].await_number(2)
    assert (of_both[0].numbers, of_both[1].numbers) == ([1, 2, 3, 4], [1, 2])


# -- quiet, and leaving ------------------------------------------------------------------------------------------------


def test_a_quiet_line_is_kept_open_by_pings(app: Flask, read: Callable[..., Reader]) -> None:
    reader = read(of_stream("s"), heartbeat_s=0.1)
    reader.wait(lambda: reader.pings >= 3)
    append("s", 1)
    reader.await_number(1)


def test_a_reader_is_let_go_from_elsewhere_and_its_channel_with_it(app: Flask, read: Callable[..., Reader]) -> None:
    stream = uuid.uuid4().hex
    reader = read(of_stream(stream))
    eventually(lambda: subscribers(of_stream(stream)) == 1, what="the subscription")
    reader.close()
    eventually(lambda: subscribers(of_stream(stream)) == 0, what="the end of the subscription")


def subscribers(source: Log) -> int:
    return int(redis.client().pubsub_numsub(source.channel)[0][1])


def test_one_that_leaves_does_not_take_the_bell_from_the_others(app: Flask, read: Callable[..., Reader]) -> None:
    leaving, staying = read(of_stream("s")), read(of_stream("s"))
    append("s", 1)
    for reader in (leaving, staying):
        reader.await_number(1)
    leaving.close()
    append("s", 1)
    staying.await_number(2)


def test_three_hundred_readers_share_one_connection(app: Flask, read: Callable[..., Reader]) -> None:
    readers = [read(of_stream(f"s{number % 30}")) for number in range(300)]
    for number in range(30):
        append(f"s{number}", 2)
    for reader in readers:
        reader.await_number(2)
        assert reader.numbers == [1, 2]
    assert len(connections("pubsub")) == 1


# -- Redis goes and comes ----------------------------------------------------------------------------------------------


def test_a_bell_that_is_cut_off_for_a_moment_loses_nothing(app: Flask, read: Callable[..., Reader]) -> None:
    reader = read(of_stream("s"))
    append("s", 1)
    reader.await_number(1)
    for number in range(2, 22):
        redis.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        append("s", 1)
        reader.await_number(number, within_s=5)
    assert reader.numbers == list(range(1, 22))


class OwnRedis:
    """A Redis that the test may kill; what it held is gone then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        valkey.prepare(folder)
        self.start()

    def start(self) -> None:
        self.process = valkey.spawn(self.folder)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for file in self.folder.rglob("*.aof*"):
            file.unlink()


@pytest.fixture
def own_redis(app: Flask, settings: Settings, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnRedis]:
    """A Redis of the test's own, and over it a tail that nobody else uses."""
    own = OwnRedis(short_folder / "own")
    redis.configure(valkey.address(own.folder))
    monkeypatch.setattr(tail, "tail", Tail())
    eventually(redis.is_up, what="redis")
    yield own
    redis.configure(settings.redis_url)
    own.kill()


def test_redis_killed_and_back_with_nothing_in_it_loses_no_event(app: Flask, own_redis: OwnRedis, read: Callable[..., Reader]) -> None:
    reader = read(of_stream("s"))
    append("s", 5)
    reader.await_number(5)
    own_redis.kill()
    append("s", 20)
    reader.await_number(25, within_s=5)  # from the database
    own_redis.start()
    eventually(redis.is_up, what="redis")
    eventually(lambda: tail.tail.is_connected, what="the bell")
    append("s", 5)
    reader.await_number(30)
    assert reader.numbers == list(range(1, 31))


def test_a_reader_that_comes_while_redis_is_away_reads_the_database(app: Flask, own_redis: OwnRedis, read: Callable[..., Reader]) -> None:
    append("s", 3)
    own_redis.kill()
    reader = read(of_stream("s"))
    reader.await_number(3, within_s=5)
    append("s", 1)
    reader.await_number(4, within_s=5)
    own_redis.start()
    eventually(lambda: tail.tail.is_connected, what="the bell")
    append("s", 1)
    reader.await_number(5)
    assert reader.numbers == [1, 2, 3, 4, 5]


def test_no_event_is_lost_in_the_moment_in_which_redis_comes_back(app: Flask, own_redis: OwnRedis, read: Callable[..., Reader]) -> None:
    reader = read(of_stream("s"))
    for round_ in range(3):
        own_redis.kill()
        append("s", 1)
        own_redis.start()
        append("s", 200)
        reader.await_number(201 * (round_ + 1), within_s=15)
    assert reader.numbers == list(range(1, 604))
