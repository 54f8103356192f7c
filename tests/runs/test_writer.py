"""The writer of a worker: order, grouping, joining, and what it does when the database is away or will not take something."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from server.kit.db import commit
from server.kit.migration import libpq_url
from server.realtime import log
from server.realtime.events import of_stream
from server.runs import actions
from server.runs.leases import Lease
from server.runs.writer import Ending
from server.settings import Settings
from tests.runs.factories import Scribe, accepted, claimed, events, restart_postgresql, said, stored
from tests.talk import without_gaps


def token(text: str, message_id: str = "m") -> dict[str, str]:
    return {"message_id": message_id, "delta": text}


def text_of(run_id: uuid.UUID) -> str:
    return "".join(data["delta"] for kind, data in said(run_id) if kind == "token")


@pytest.fixture
def lease(settings: Settings, owner_id: uuid.UUID) -> Lease:
    return claimed(settings, accepted(owner_id, stream="s", then="chats.record_reply"))


def test_what_a_run_says_is_stored_in_order_and_its_end_is_last(scribe: Scribe, lease: Lease) -> None:
    for number in range(50):
        scribe.writer.emit(lease, "step", {"name": str(number)})
    scribe.end(lease, "success", output={"content": "done"})
    assert scribe.await_ends(1) == [True]
    run = stored(lease.run_id)
    assert (run.status, run.output, run.worker_id, run.last_event) == ("success", {"content": "done"}, None, 52)
    assert run.finished_at is not None
    assert run.then_due_at is not None
    assert [data["name"] for kind, data in said(lease.run_id) if kind == "step"] == [str(number) for number in range(50)]
    assert said(lease.run_id)[-1] == ("run", {"run_id": str(lease.run_id), "status": "success", "attempt": 1})
    assert without_gaps(event.run_seq for event in events(lease.run_id))


def test_tokens_that_wait_together_become_one_and_lose_nothing(scribe: Scribe, lease: Lease) -> None:
    with scribe.writer._changed:
        for number in range(500):
            scribe.writer.emit(lease, "token", token(f"{number} "))
        scribe.end(lease)
    scribe.await_ends(1)
    assert text_of(lease.run_id) == "".join(f"{number} " for number in range(500))
    assert len(events(lease.run_id)) == 3


def test_tokens_of_different_messages_or_with_something_between_stay_apart(scribe: Scribe, lease: Lease) -> None:
    with scribe.writer._changed:
        scribe.writer.emit(lease, "token", token("a", "m1"))
        scribe.writer.emit(lease, "token", token("b", "m2"))
        scribe.writer.emit(lease, "step", {"name": "x"})
        scribe.writer.emit(lease, "token", token("c", "m2"))
        scribe.end(lease)
    scribe.await_ends(1)
    assert [data["delta"] for kind, data in said(lease.run_id) if kind == "token"] == ["a", "b", "c"]


def test_a_joined_token_does_not_grow_without_bound(scribe: Scribe, lease: Lease) -> None:
    with scribe.writer._changed:
        for _ in range(30):
            scribe.writer.emit(lease, "token", token("x" * 1000))
        scribe.end(lease)
    scribe.await_ends(1)
    sizes = [len(data["delta"]) for kind, data in said(lease.run_id) if kind == "token"]
    assert (sum(sizes), max(sizes)) == (30_000, 5_000 - 1_000)


def test_runs_that_share_a_stream_are_numbered_in_it_without_gaps(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    leases = [claimed(settings, accepted(owner_id, stream=f"s{number % 3}")) for number in range(12)]
    for number in range(100):
        for lease in leases:
            scribe.writer.emit(lease, "step", {"name": str(number)})
    for lease in leases:
        scribe.end(lease)
    assert scribe.await_ends(12) == [True] * 12
    for stream in ("s0", "s1", "s2"):
        numbers = [event.seq for event in log.read(of_stream(stream), after=0, limit=10_000)]
        assert numbers == list(range(1, 4 * 102 + 1))


def test_what_is_said_after_the_end_is_not_heard(scribe: Scribe, lease: Lease) -> None:
    with scribe.writer._changed:
        scribe.end(lease, "timeout", error={"code": "timeout", "message": "", "retryable": True})
        scribe.writer.emit(lease, "token", token("late"))
        scribe.end(lease, "success")
    assert scribe.await_ends(2) == [True, False]
    assert [kind for kind, _ in said(lease.run_id)] == ["run", "error", "run"]
    assert stored(lease.run_id).status == "timeout"


def test_a_question_pauses_the_log_and_is_in_it(scribe: Scribe, lease: Lease) -> None:
    scribe.end(lease, "interrupted", interrupts=[{"id": "i1", "value": "Which?"}])
    scribe.await_ends(1)
    run = stored(lease.run_id)
    assert (run.status, run.interrupts, run.finished_at, run.then_due_at) == ("interrupted", [{"id": "i1", "value": "Which?"}], None, None)
    assert said(lease.run_id)[-2:] == [
        ("interrupt", {"run_id": str(lease.run_id), "interrupt_id": "i1", "value": "Which?"}),
        ("run", {"run_id": str(lease.run_id), "status": "interrupted", "attempt": 1}),
    ]


def test_the_next_run_of_the_thread_is_named_when_one_ends(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    first, second, _ = (accepted(owner_id, thread_id="t") for _ in range(3))
    scribe.end(claimed(settings, first))
    scribe.await_ends(1)
    scribe.writer.stop()
    assert scribe.freed == [(second, False)]


# -- poison ------------------------------------------------------------------------------------------------------------


def test_one_event_that_cannot_be_stored_ends_its_run_and_costs_the_others_nothing(
    settings: Settings, scribe: Scribe, owner_id: uuid.UUID
) -> None:
    leases = [claimed(settings, accepted(owner_id, stream="s")) for _ in range(3)]
    with scribe.writer._changed:
        for lease in leases:
            scribe.writer.emit(lease, "token", token("fine"))
        scribe.writer.emit(leases[1], "no\x00type", {})
        for lease in leases:
            scribe.end(lease)
    scribe.await_ends(3)
    assert [stored(lease.run_id).status for lease in leases] == ["success", "error", "success"]
    assert stored(leases[1].run_id).error["code"] == "internal"
    assert [event.seq for event in log.read(of_stream("s"), after=0)] == list(range(1, 10))


UNSPEAKABLE = {"half a pair": "\ud800", "too large a number": 2**70}


@pytest.mark.parametrize("value", UNSPEAKABLE.values(), ids=UNSPEAKABLE)
def test_an_end_that_no_json_can_hold_ends_its_run_as_an_error_and_the_writer_goes_on(
    settings: Settings, scribe: Scribe, lease: Lease, owner_id: uuid.UUID, value: object
) -> None:
    scribe.end(lease, "interrupted", interrupts=[{"id": "i", "value": value}])
    assert scribe.await_ends(1) == [True]
    assert (stored(lease.run_id).status, stored(lease.run_id).error["code"]) == ("error", "internal")
    neighbour = claimed(settings, accepted(owner_id))
    scribe.end(neighbour)
    assert scribe.await_ends(2) == [True, True]


def test_a_listener_that_fails_does_not_stop_the_writer(settings: Settings, scribe: Scribe, lease: Lease, owner_id: uuid.UUID) -> None:
    scribe.writer.end(Ending(lease, "success", written=lambda is_mine: 1 / 0))
    neighbour = claimed(settings, accepted(owner_id))
    scribe.end(neighbour)
    assert scribe.await_ends(1) == [True]


# -- the database goes and comes ---------------------------------------------------------------------------------------


def cut(settings: Settings) -> None:
    """Cut the writer's connection, as a restart does."""
    with psycopg.connect(libpq_url(settings.database_url), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley-writer'")


def test_a_connection_that_is_cut_again_and_again_costs_nothing_and_doubles_nothing(
    settings: Settings, scribe: Scribe, lease: Lease
) -> None:
    for number in range(5):
        for part in range(200):
            scribe.writer.emit(lease, "token", token(f"{number}.{part} "))
        cut(settings)
    scribe.end(lease)
    assert scribe.await_ends(1) == [True]
    assert text_of(lease.run_id) == "".join(f"{number}.{part} " for number in range(5) for part in range(200))
    assert without_gaps(event.seq for event in events(lease.run_id))


def test_what_was_said_while_postgresql_restarts_is_written_when_it_is_back(settings: Settings, scribe: Scribe, lease: Lease) -> None:
    scribe.writer.emit(lease, "token", token("before "))

    def meanwhile() -> None:
        scribe.writer.emit(lease, "token", token("meanwhile "))
        scribe.end(lease)

    restart_postgresql(settings, meanwhile)
    assert scribe.await_ends(1) == [True]
    assert text_of(lease.run_id) == "before meanwhile "
    assert stored(lease.run_id).status == "success"


def test_who_stops_the_writer_gets_everything_written_first(settings: Settings, scribe: Scribe, lease: Lease) -> None:
    for number in range(5000):
        scribe.writer.emit(lease, "step", {"name": str(number)})
    assert scribe.writer.is_full is False
    scribe.writer.stop()
    assert stored(lease.run_id).last_event == 5001


def test_a_cancelled_run_has_no_error_event(scribe: Scribe, lease: Lease) -> None:
    actions.cancel(lease.run_id)
    commit()
    scribe.end(lease, "cancelled", error={"code": "cancelled", "message": "The run was cancelled.", "retryable": False})
    scribe.await_ends(1)
    assert [kind for kind, _ in said(lease.run_id)] == ["run", "run"]
    assert stored(lease.run_id).error["code"] == "cancelled"
