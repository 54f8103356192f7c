"""Threads as rows: their names, what they follow from, what goes with them, how they are found among many."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit.clock import after, now
from server.kit.db import commit, db
from server.kit.errors import Invalid, Refusal
from server.realtime import log
from server.realtime.models import EventRow
from server.runs import actions as runs
from server.runs.models import Run
from server.runs.threads import actions, search
from server.runs.threads.actions import NotAName, ThreadExists, ThreadInUse, ThreadNotFound
from server.runs.threads.models import Thread, stream_of
from tests.runs import factories

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def owner_id(app: Flask) -> uuid.UUID:
    return factories.owner()


def begun(thread: Thread, *, stream: bool = True) -> Run:
    """A run of a thread that waits for a worker."""
    run = runs.start(
        owner_id=thread.owner_id,
        agent_id="echo",
        input={},
        timeout_s=60,
        max_queued=100,
        thread_id=str(thread.id),
        stream=stream_of(thread.id) if stream else None,
    )
    run.thread_key = thread.id
    runs.note(run, [("run", {"status": "pending"})])
    commit()
    return run


def stored(key: uuid.UUID) -> Thread | None:
    db.session.rollback()
    return db.session.get(Thread, key, populate_existing=True)


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_thread_that_nobody_names_is_named_by_its_id(owner_id: uuid.UUID) -> None:
    thread = actions.create(owner_id)
    assert thread.name == str(thread.id)
    assert thread.id.version == 7
    assert actions.own(owner_id, thread.name).id == thread.id


def test_a_name_is_taken_once_by_each_owner(owner_id: uuid.UUID) -> None:
    other = factories.owner()
    first = actions.create(owner_id, "mine", {"n": 1})
    with pytest.raises(ThreadExists, match="Thread with ID mine already exists"):
        actions.create(owner_id, "mine")
    db.session.rollback()
    again = actions.create(owner_id, "mine", {"n": 2}, if_exists="do_nothing")
    assert (again.id, again.about) == (first.id, {"n": 1})
    assert actions.create(other, "mine").id != first.id
    actions.delete(other, "mine")
    assert actions.own(owner_id, "mine").id == first.id
    with pytest.raises(ThreadNotFound, match="Thread with ID mine not found"):
        actions.own(other, "mine")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a" * 129, "a\n", "../x"])
def test_what_is_no_name_is_refused_wherever_it_is_given(owner_id: uuid.UUID, name: str) -> None:
    for refuse in (
        lambda: actions.create(owner_id, name),
        lambda: actions.own(owner_id, name),
        lambda: actions.prune(owner_id, [name], "delete"),
    ):
        with pytest.raises(NotAName):
            refuse()


@pytest.mark.parametrize("name", ["example-thread-123", "a", "A.b_c-9", "a" * 128, "..."])
def test_these_are_names(owner_id: uuid.UUID, name: str) -> None:
    assert actions.create(owner_id, name).name == name


# -- what a thread follows from ----------------------------------------------------------------------------------------


def test_metadata_are_merged_key_by_key(owner_id: uuid.UUID) -> None:
    thread = actions.create(owner_id, "mine", {"a": {"x": 1}, "b": 1})
    actions.update(owner_id, "mine", about={"a": {"y": 2}, "c": None})
    found = stored(thread.id)
    assert found is not None
    assert found.about == {"a": {"y": 2}, "b": 1, "c": None}
    assert found.updated_at > found.created_at


@pytest.mark.parametrize(
    ("statuses", "interrupts", "status"),
    [
        ([], None, "idle"),
        (["pending"], None, "busy"),
        (["success", "running"], None, "busy"),
        (["error", "success"], None, "idle"),
        (["success", "error"], None, "error"),
        (["timeout"], None, "error"),
        (["interrupted"], [{"id": "q", "value": 1}], "interrupted"),
        (["success", "cancelled"], None, "idle"),
    ],
)
def test_a_status_follows_from_the_runs(owner_id: uuid.UUID, statuses: list[str], interrupts: list[Any] | None, status: str) -> None:
    thread = actions.create(owner_id)
    for each in statuses:
        run = begun(thread)
        values = {"status": each, "started_at": now(), "finished_at": now(), "error": {"code": "x"} if each == "error" else None}
        db.session.execute(sa.update(Run).where(Run.id == run.id).values(**values))
    thread.interrupts = interrupts
    actions.settle(thread.id)
    commit()
    found = stored(thread.id)
    assert found is not None
    assert found.status == status
    assert found.error == ({"code": "x"} if statuses[-1:] == ["error"] else None)


def test_a_run_that_never_began_says_nothing_of_its_thread(owner_id: uuid.UUID) -> None:
    thread = actions.create(owner_id)
    failed, cancelled = begun(thread), begun(thread)
    db.session.execute(sa.update(Run).where(Run.id == failed.id).values(status="error", started_at=now(), finished_at=now()))
    db.session.execute(sa.update(Run).where(Run.id == cancelled.id).values(status="cancelled", finished_at=now()))
    actions.settle(thread.id)
    assert thread.status == "error"


def test_a_thread_with_runs_that_are_not_done_cannot_be_held(owner_id: uuid.UUID) -> None:
    thread = actions.create(owner_id)
    assert actions.held(thread.id).id == thread.id
    run = begun(thread)
    with pytest.raises(ThreadInUse):
        actions.held(thread.id)
    runs.cancel(run.id)
    commit()
    assert actions.held(thread.id).id == thread.id
    with pytest.raises(ThreadNotFound):
        actions.held(uuid.uuid4())


# -- what goes with it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_deleted_thread_takes_its_runs_and_their_events_along(owner_id: uuid.UUID, stream: bool) -> None:
    thread, kept = actions.create(owner_id, "goes"), actions.create(owner_id, "stays")
    run, other = begun(thread, stream=stream), begun(kept)
    actions.delete(owner_id, "goes")
    assert stored(thread.id) is None
    assert db.session.scalars(sa.select(Run.id)).all() == [other.id]
    assert set(db.session.scalars(sa.select(EventRow.run_id))) == {other.id}
    assert log.last_number(stream_of(thread.id)) == 0
    assert run.id != other.id
    with pytest.raises(ThreadNotFound):
        actions.delete(owner_id, "goes")


def test_an_assistants_threads_go_with_it_and_nobody_elses(owner_id: uuid.UUID) -> None:
    assistant = uuid.uuid4()
    about = {"assistant_id": str(assistant)}
    theirs = actions.create(factories.owner(), "theirs", about)
    other = actions.create(owner_id, "other", {"assistant_id": str(uuid.uuid4())})
    actions.create(owner_id, "mine", about)
    assert actions.delete_of_assistant(owner_id, assistant) == 1
    commit()
    assert set(db.session.scalars(sa.select(Thread.id))) == {theirs.id, other.id}


def test_pruning_counts_what_was_there_and_the_owners(owner_id: uuid.UUID) -> None:
    for name in ("a", "b"):
        actions.create(owner_id, name)
    theirs = actions.create(factories.owner(), "theirs")
    assert actions.prune(owner_id, ["a", "a", "theirs", "nobodys"], "delete") == 1
    assert actions.prune(owner_id, [], "keep_latest") == 0
    assert stored(theirs.id) is not None


# -- time to live ------------------------------------------------------------------------------------------------------


def expired(owner_id: uuid.UUID, name: str, **values: Any) -> Thread:
    thread = actions.create(owner_id, name, ttl={"ttl": 5})
    db.session.execute(sa.update(Thread).where(Thread.id == thread.id).values(expires_at=after(-1), **values))
    commit()
    return thread


def test_a_time_to_live_counts_from_now_and_is_kept_as_it_was_given(owner_id: uuid.UUID) -> None:
    thread = actions.create(owner_id, "mine", ttl={"ttl": 5})
    assert thread.ttl == {"strategy": "delete", "ttl": 5}
    assert thread.expires_at is not None
    assert 299 < (thread.expires_at - now()).total_seconds() <= 300
    changed = actions.update(owner_id, "mine", ttl={"ttl": 0.5, "strategy": "keep_latest"})
    assert changed.expires_at is not None
    assert changed.expires_at < after(31)
    assert actions.update(owner_id, "mine", about={"a": 1}).ttl == {"strategy": "keep_latest", "ttl": 0.5}


def test_threads_whose_time_is_up_go_and_the_others_stay(owner_id: uuid.UUID) -> None:
    gone = expired(owner_id, "gone")
    busy = expired(owner_id, "busy", status="busy")
    thinned = expired(owner_id, "thinned", ttl={"strategy": "keep_latest", "ttl": 5})
    lasting = actions.create(owner_id, "lasting", ttl={"ttl": 5})
    unlimited = actions.create(owner_id, "unlimited")
    assert actions.sweep_expired() == 2
    assert stored(gone.id) is None
    assert {each.id for each in db.session.scalars(sa.select(Thread))} == {busy.id, thinned.id, lasting.id, unlimited.id}
    again = stored(thinned.id)
    assert again is not None
    assert again.expires_at is not None
    assert again.expires_at > now()
    assert actions.sweep_expired() == 0


def test_a_sweep_takes_the_oldest_first_and_no_more_than_it_may(owner_id: uuid.UUID) -> None:
    threads = [expired(owner_id, f"t{n}") for n in range(3)]
    db.session.execute(sa.update(Thread).where(Thread.id == threads[1].id).values(expires_at=after(-60)))
    commit()
    assert actions.sweep_expired(limit=1) == 1
    assert stored(threads[1].id) is None
    assert actions.sweep_expired() == 2


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(owner_id: uuid.UUID) -> list[Thread]:
    """Five threads, and two that are in nobody's list of them."""
    made = [actions.create(owner_id, f"t{n}", {"n": n, "tags": ["a", "b"][: n % 3], "deep": {"x": n % 2}}) for n in range(5)]
    made[1].values = {"name": "one", "trail": ["a", {"b": 1}]}
    made[2].status = "interrupted"
    made[3].state_updated_at = now()
    actions.create(factories.owner(), "theirs", {"n": 1})
    actions.temporary(owner_id, about={"n": 1}, expires_at=after(60))
    commit()
    return made


def names(page: search.Page) -> list[str]:
    return [thread.name for thread in page.threads]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["t4", "t3", "t2", "t1", "t0"]),
        ({"metadata": {"n": 1}}, ["t1"]),
        ({"metadata": {"deep": {"x": 1}}}, ["t3", "t1"]),
        ({"metadata": {"tags": ["b"]}}, ["t2"]),
        ({"metadata": {"n": "1"}}, []),
        ({"values": {"name": "one"}}, ["t1"]),
        ({"values": {"trail": [{"b": 1}]}}, ["t1"]),
        ({"values": {"name": "two"}}, []),
        ({"status": "interrupted"}, ["t2"]),
        ({"status": "idle", "metadata": {"deep": {"x": 0}}}, ["t4", "t0"]),
        ({"ids": ["t0", "t4", "theirs", "nobodys"]}, ["t4", "t0"]),
    ],
)
def test_threads_are_found_by_what_they_are(owner_id: uuid.UUID, many: list[Thread], wanted: dict[str, Any], found: list[str]) -> None:
    asked = search.Wanted(owner_id, **wanted)
    page = search.page(asked, sort_by="created_at", limit=10, offset=0)
    assert (names(page), page.total, search.count(asked)) == (found, len(found), len(found))


@pytest.mark.parametrize(
    ("sort_by", "ascending", "order"),
    [
        ("created_at", True, "t0 t1 t2 t3 t4"),
        ("thread_id", False, "t4 t3 t2 t1 t0"),
        ("status", False, "t2 t4 t3 t1 t0"),
        ("status", True, "t0 t1 t3 t4 t2"),
        ("state_updated_at", False, "t3 t4 t2 t1 t0"),
    ],
)
def test_threads_come_in_the_order_that_is_asked_for(
    owner_id: uuid.UUID, many: list[Thread], sort_by: str, ascending: bool, order: str
) -> None:
    assert names(search.page(search.Wanted(owner_id), sort_by=sort_by, ascending=ascending, limit=10, offset=0)) == order.split()


def test_pages_follow_each_other_without_gaps(owner_id: uuid.UUID, many: list[Thread]) -> None:
    wanted = search.Wanted(owner_id)
    pages = [search.page(wanted, sort_by="status", ascending=True, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [name for page in pages for name in names(page)] == ["t0", "t1", "t3", "t4", "t2"]
    assert [page.total for page in pages] == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("values.name", "one"),
        ("values.trail[0]", "a"),
        ("values.trail[-1].b", 1),
        ("values.trail[-9]", None),
        ("values.trail[*]", None),
        ("values.trail.b", None),
        ("values..name", None),
        ("values.name[0]", None),
        ("metadata.deep.x", 1),
        ("interrupts", None),
        ("metadata", {"n": 1, "deep": {"x": 1}}),
    ],
)
def test_values_are_picked_out_by_paths(text: str, found: Any) -> None:
    fields = {"values": {"name": "one", "trail": ["a", {"b": 1}]}, "metadata": {"n": 1, "deep": {"x": 1}}, "interrupts": None}
    path = search.path(text)
    assert path.lead(fields[path.field]) == found


@pytest.mark.parametrize("text", ["", "thread_id", "value.x", "valuesx", "[0]", "owner_id"])
def test_a_path_into_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="must start with one of: config, interrupts, metadata, values"):
        search.path(text)


def test_every_refusal_has_a_code_of_its_own() -> None:
    kinds = (NotAName, ThreadExists, ThreadInUse, ThreadNotFound)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(issubclass(kind, Refusal) for kind in kinds)
