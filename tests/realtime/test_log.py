"""The event log: numbers without gaps whoever writes at once, pages, and what is no longer kept."""

from __future__ import annotations

import random
import uuid
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit import redis
from server.kit.clock import after
from server.kit.db import commit, db, rollback
from server.realtime import log
from server.realtime.events import Log, of_run, of_stream, read_frame
from server.realtime.log import LogTrimmed
from server.realtime.models import EventRow
from tests.runs.factories import accepted, at_once, owner


def numbers(stream: str) -> list[int | None]:
    return [event.seq for event in log.read(of_stream(stream), after=0, limit=100_000)]


def append(stream: str, times: int) -> None:
    for number in range(times):
        log.append(stream, "said", {"n": number})
    commit()


def make_old(source: Log, up_to: int) -> None:
    column = EventRow.stream if source.kind == "stream" else EventRow.run_id
    number = EventRow.seq if source.kind == "stream" else EventRow.run_seq
    key = source.name if source.kind == "stream" else uuid.UUID(source.name)
    db.session.execute(sa.update(EventRow).where(column == key, number <= up_to).values(created_at=after(-1000)))
    commit()


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_eight_writers_at_once_leave_no_gap_and_no_double_in_the_streams_they_share(app: Flask) -> None:
    streams = ["a", "b", "c"]

    def write(seed: int) -> None:
        chosen = random.Random(seed)
        for number in range(40):
            # Each transaction takes its streams in one go, as writers do, or one after the other in the order of their names.
            for stream in sorted(chosen.sample(streams, chosen.randint(1, 3))):
                log.append(stream, "said", {"by": seed, "n": number})
            commit()

    assert at_once(app, [partial(write, seed) for seed in range(8)]) == [None] * 8
    for stream in streams:
        assert numbers(stream) == list(range(1, log.last_number(stream) + 1))
        for seed in range(8):
            said = [event.load()["n"] for event in log.read(of_stream(stream), after=0, limit=10_000) if event.load()["by"] == seed]
            assert said == sorted(said)


def test_writers_that_name_their_streams_in_any_order_do_not_wait_in_a_circle(app: Flask) -> None:
    from server.kit.clock import now
    from server.realtime.events import Event

    def write(seed: int) -> None:
        names = ["a", "b", "c", "d"]
        for _ in range(30):
            random.Random(seed).shuffle(names)
            events = [Event(name, None, None, None, "said", b"{}", now()) for name in names]
            with db.engine.begin() as connection:
                log.store(connection, log.number_streams(connection, events))

    assert at_once(app, [partial(write, seed) for seed in range(8)]) == [None] * 8
    assert [log.last_number(name) for name in "abcd"] == [240] * 4


def test_what_is_rolled_back_takes_no_number_and_is_told_to_nobody(app: Flask) -> None:
    bell = redis.client().pubsub(ignore_subscribe_messages=True)
    bell.subscribe(of_stream("s").channel)
    bell.get_message(timeout=1)
    log.append("s", "said", {"n": 1})
    rollback()
    append("s", 1)
    frame = bell.get_message(timeout=5)
    assert frame is not None
    assert [(event.seq, event.load()) for event in read_frame(frame["data"])] == [(1, {"n": 0})]
    assert bell.get_message(timeout=0.1) is None
    bell.close()
    assert numbers("s") == [1]


def test_an_event_comes_out_of_its_frame_as_it_was_stored(app: Flask) -> None:
    bell = redis.client().pubsub(ignore_subscribe_messages=True)
    bell.subscribe(of_stream("s").channel)
    bell.get_message(timeout=1)
    log.append("s", "said", {"text": 'ä\u0000𝄞 "quoted"', "n": 1.5, "none": None})
    commit()
    frame = bell.get_message(timeout=5)
    bell.close()
    assert frame is not None
    assert read_frame(frame["data"]) == log.read(of_stream("s"), after=0)


# -- pages -------------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_without_a_gap(app: Flask) -> None:
    append("s", 23)
    pages, last = [], 0
    while page := log.read(of_stream("s"), after=last, limit=5):
        pages.append([event.seq for event in page])
        last = page[-1].seq or 0
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [number for page in pages for number in page] == list(range(1, 24))


def test_a_log_that_nobody_wrote_to_is_empty(app: Flask) -> None:
    assert log.read(of_stream("nothing"), after=0) == []
    assert log.read(of_run(uuid.uuid4()), after=0) == []
    assert log.last_number("nothing") == 0


def test_who_has_everything_gets_nothing(app: Flask) -> None:
    append("s", 3)
    assert log.read(of_stream("s"), after=3) == []
    assert log.read(of_stream("s"), after=99) == []


# -- what is no longer kept --------------------------------------------------------------------------------------------


def test_who_asks_for_what_is_no_longer_kept_is_told_so(app: Flask) -> None:
    append("s", 10)
    make_old(of_stream("s"), 6)
    assert log.trim(before=after(-500), keep_runs=[], keep_streams=[]) == 6
    commit()
    for number in (0, 5):
        with pytest.raises(LogTrimmed):
            log.read(of_stream("s"), after=number)
    assert [event.seq for event in log.read(of_stream("s"), after=6)] == [7, 8, 9, 10]
    assert log.read(of_stream("s"), after=10) == []


def test_a_log_that_is_trimmed_whole_says_so_and_goes_on_with_its_numbers(app: Flask) -> None:
    append("s", 4)
    make_old(of_stream("s"), 4)
    log.trim(before=after(-500), keep_runs=[], keep_streams=[])
    commit()
    with pytest.raises(LogTrimmed):
        log.read(of_stream("s"), after=0)
    assert log.read(of_stream("s"), after=4) == []
    append("s", 1)
    assert [event.seq for event in log.read(of_stream("s"), after=4)] == [5]


def test_a_trim_takes_so_many_at_a_time_oldest_first(app: Flask) -> None:
    append("s", 10)
    make_old(of_stream("s"), 10)
    assert log.trim(before=after(-500), keep_runs=[], keep_streams=[], limit=4) == 4
    commit()
    assert [event.seq for event in log.read(of_stream("s"), after=4)] == [5, 6, 7, 8, 9, 10]


def test_what_is_in_progress_is_not_trimmed(app: Flask) -> None:
    append("busy", 3)
    append("quiet", 3)
    make_old(of_stream("busy"), 3)
    make_old(of_stream("quiet"), 3)
    assert log.trim(before=after(-500), keep_runs=[], keep_streams=["busy"]) == 3
    commit()
    assert numbers("busy") == [1, 2, 3]


def test_a_runs_log_that_was_trimmed_in_part_says_so(app: Flask) -> None:
    from server.runs import actions
    from server.runs.models import Run

    run_id = accepted(owner())
    run = db.session.get_one(Run, run_id, with_for_update=True)
    actions.note(run, [("step", {"n": number}) for number in range(6)])
    commit()
    make_old(of_run(run_id), 4)
    log.trim(before=after(-500), keep_runs=[], keep_streams=[])
    commit()
    with pytest.raises(LogTrimmed):
        log.read(of_run(run_id), after=0)
    assert [event.run_seq for event in log.read(of_run(run_id), after=4)] == [5, 6]
