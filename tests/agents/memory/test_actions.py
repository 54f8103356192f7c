"""What is remembered, for how long, and who writes what when several do."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.agents.memory.actions import carry_out, lifetimes, sweep_expired
from server.agents.memory.models import MemoryItem
from server.engine.recall import Find, Forget, Get, Lifetimes, Namespaces, Op, Put, Remembered
from server.kit.db import commit, db
from server.kit.errors import Invalid, Refusal, Unavailable
from tests.agents.memory.conftest import Configure
from tests.runs import factories

A = ("a",)


def do(owner_id: uuid.UUID, op: Op, **options: Any) -> Any:
    return carry_out(owner_id, [op], **options)[0]


def value(owner_id: uuid.UUID, key: str, namespace: tuple[str, ...] = A) -> Any:
    item: Remembered | None = do(owner_id, Get(namespace, key, refreshes=False))
    return item and item.value


def grow_old(minutes: float) -> None:
    """Let so many minutes pass for all items."""
    db.session.execute(sa.update(MemoryItem).values(expires_at=MemoryItem.expires_at - sa.text(f"interval '{minutes} minutes'")))
    commit()


def rows() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(MemoryItem)) or 0


# -- several at once ---------------------------------------------------------------------------------------------------


def test_reads_of_a_call_see_what_was_there_before_its_writes(owner_id: uuid.UUID) -> None:
    do(owner_id, Put(A, "k", {"n": 1}))
    before, written, found, gone, spaces = carry_out(owner_id, [Get(A, "k"), Put(A, "k", {"n": 2}), Find(A), Get(A, "none"), Namespaces()])
    assert (before.value, written, [each.value for each in found], gone, spaces) == ({"n": 1}, None, [{"n": 1}], None, [A])
    assert value(owner_id, "k") == {"n": 2}


@pytest.mark.parametrize(
    ("ops", "left"), [([Put(A, "k", {"n": 1}), Put(A, "k", {"n": 2})], {"n": 2}), ([Put(A, "k", {}), Forget(A, "k")], None)]
)
def test_of_several_writes_to_one_key_the_last_counts(owner_id: uuid.UUID, ops: list[Op], left: Any) -> None:
    carry_out(owner_id, ops)
    assert value(owner_id, "k") == left


def test_a_call_with_something_that_cannot_be_kept_keeps_nothing(owner_id: uuid.UUID) -> None:
    with pytest.raises(Invalid):
        carry_out(owner_id, [Put(A, "good", {}), Put(A, "bad", {"x": object()})])
    assert rows() == 0


def test_a_call_of_many_operations_is_a_handful_of_statements(owner_id: uuid.UUID) -> None:
    seen: list[str] = []
    listen = lambda *asked: seen.append(asked[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        carry_out(owner_id, [Put(A, f"k{n}", {"n": n}) for n in range(300)])
        found = carry_out(owner_id, [Get(A, f"k{n}") for n in range(300)])
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)
    assert [item.value["n"] for item in found] == list(range(300))
    assert len(seen) == 3  # the turn among this owner's writers, the writing, the reading


def test_eight_writers_of_one_key_leave_one_whole_item(app: Flask, owner_id: uuid.UUID, configure: Configure) -> None:
    configure(index={"fields": ["text"]})
    together = threading.Barrier(8)

    def write(number: int) -> None:
        together.wait(10)
        for each in range(10):
            with app.app_context():
                do(owner_id, Put(A, "k", {"text": f"writer {number}", "n": each}))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert rows() == 1
    [item] = do(owner_id, Find(A, query=value(owner_id, "k")["text"]))
    assert item.score == pytest.approx(1.0, abs=1e-6)


def test_those_who_write_the_same_keys_in_another_order_do_not_lock_each_other_out(app: Flask, owner_id: uuid.UUID) -> None:
    together = threading.Barrier(6)

    def write(number: int) -> None:
        keys = [f"k{n}" for n in range(30)]
        together.wait(10)
        for turn in range(5):
            ops: list[Op] = [Put(A, key, {"by": number}) for key in (keys if number % 2 else reversed(keys))]
            forgotten: list[Op] = [Forget(A, key) for key in keys[turn::7]]
            with app.app_context():
                carry_out(owner_id, [*ops, *forgotten, Find(A)])

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(6)))
    assert rows() <= 30


def test_what_an_owner_remembers_goes_with_the_account(owner_id: uuid.UUID) -> None:
    other = factories.owner()
    for each in (owner_id, other):
        do(each, Put(A, "k", {}))
    db.session.execute(sa.text("DELETE FROM users WHERE id = :id"), {"id": owner_id})
    commit()
    assert rows() == 1
    assert value(other, "k") == {}


# -- lifetimes ---------------------------------------------------------------------------------------------------------


def test_an_item_whose_time_is_over_is_nowhere_before_it_is_swept(owner_id: uuid.UUID) -> None:
    do(owner_id, Put(A, "k", {}, ttl_minutes=5))
    grow_old(6)
    assert rows() == 1
    assert carry_out(owner_id, [Get(A, "k"), Find(A), Namespaces()]) == [None, [], []]


def test_an_item_put_where_one_had_expired_begins_anew(owner_id: uuid.UUID) -> None:
    do(owner_id, Put(A, "k", {"n": 1}, ttl_minutes=5))
    first = do(owner_id, Get(A, "k")).created_at
    grow_old(6)
    do(owner_id, Put(A, "k", {"n": 2}))
    item = do(owner_id, Get(A, "k"))
    assert (item.value, item.expires_at) == ({"n": 2}, None)
    assert item.created_at > first


def test_each_reading_lets_the_time_begin_anew(owner_id: uuid.UUID) -> None:
    do(owner_id, Put(A, "k", {}, ttl_minutes=10))
    for op in (Get(A, "k"), Find(A), Get(A, "k")):
        grow_old(8)
        assert do(owner_id, op)
    grow_old(8)
    assert do(owner_id, Get(A, "k", refreshes=False))
    grow_old(8)
    assert do(owner_id, Get(A, "k")) is None


def test_a_sweep_takes_what_is_over_and_no_more_than_it_is_told(owner_id: uuid.UUID) -> None:
    carry_out(owner_id, [Put(A, f"old{n}", {}, ttl_minutes=5) for n in range(5)])
    grow_old(6)
    carry_out(owner_id, [Put(A, "young", {}, ttl_minutes=5), Put(A, "for ever", {})])
    assert [sweep_expired(3), sweep_expired(3), sweep_expired(3)] == [3, 2, 0]
    assert [item.key for item in do(owner_id, Find(A))] == ["young", "for ever"]


def test_the_configuration_says_what_holds_where_nothing_is_said(configure: Configure) -> None:
    assert lifetimes() == Lifetimes(None, refreshes=True)
    configure(ttl={"default_ttl": 7, "refresh_on_read": False})
    assert lifetimes() == Lifetimes(7.0, refreshes=False)


# -- meaning -----------------------------------------------------------------------------------------------------------

NOTES = {
    "pizza": "Ann loves pizza with olives",
    "invoice": "The invoices of March have not been paid",
    "bike": "Her bicycle is in the garage behind the house",
    "meeting": "Our weekly meeting takes place on Tuesdays at nine",
    "cat": "Der Kater heißt Felix und mag Fisch",
}


def remember(owner_id: uuid.UUID) -> None:
    carry_out(owner_id, [Put(A, key, {"text": text, "kind": "note"}) for key, text in NOTES.items()])


@pytest.mark.parametrize(
    ("query", "nearest"),
    [
        ("what food does Ann love", "pizza"),
        ("unpaid invoice", "invoice"),
        ("where is the bicycle", "bike"),
        ("meetings on tuesday", "meeting"),
        ("Katze Kater Name", "cat"),
    ],
)
def test_the_nearest_in_words_comes_first_with_the_highest_score(
    owner_id: uuid.UUID, configure: Configure, query: str, nearest: str
) -> None:
    configure(index={"fields": ["text"]})
    remember(owner_id)
    found = do(owner_id, Find(A, query))
    scores = [item.score for item in found]
    assert found[0].key == nearest
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert len(found) == len(NOTES)


def test_a_search_by_meaning_keeps_to_prefix_filter_page_and_owner(owner_id: uuid.UUID, configure: Configure) -> None:
    configure(index={})
    remember(owner_id)
    do(owner_id, Put(("b",), "pizza", {"text": "pizza", "kind": "other"}))
    do(factories.owner(), Put(A, "pizza", {"text": "pizza"}))
    assert [item.key for item in do(owner_id, Find((), "pizza", {"kind": "note"}, 1))] == ["pizza"]
    pages = [do(owner_id, Find((), "pizza", {}, 2, at)) for at in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert [item.namespace for item in pages[0]] == [("b",), A]
    assert len({(item.namespace, item.key) for page in pages for item in page}) == 6


def test_what_is_not_indexed_comes_last_and_without_a_score(owner_id: uuid.UUID, configure: Configure) -> None:
    do(owner_id, Put(A, "before", {"text": "pizza"}))
    configure(index={"fields": ["text"]})
    carry_out(
        owner_id, [Put(A, "hidden", {"text": "pizza"}, index=False), Put(A, "empty", {"other": "pizza"}), Put(A, "yes", {"text": "pizza"})]
    )
    for page in (do(owner_id, Find(A, "pizza")), [do(owner_id, Find(A, "pizza", {}, 1, at))[0] for at in range(4)]):
        assert [item.key for item in page] == ["yes", "before", "hidden", "empty"]
        assert [item.score is None for item in page] == [False, True, True, True]


def test_the_paths_of_a_put_say_what_it_is_found_by(owner_id: uuid.UUID, configure: Configure) -> None:
    configure(index={"fields": ["text"]})
    do(owner_id, Put(A, "mine", {"text": "bicycle", "notes": [{"t": "umbrella"}, {"t": "pizza"}]}, index=["notes[*].t"]))
    do(owner_id, Put(A, "default", {"text": "bicycle", "notes": [{"t": "pizza"}]}))
    assert do(owner_id, Find(A, "pizza"))[0].key == "mine"
    assert do(owner_id, Find(A, "pizza"))[0].score == pytest.approx(1.0, abs=1e-6)
    assert do(owner_id, Find(A, "bicycle"))[0].key == "default"


def test_another_embedding_finds_nothing_of_the_one_before(owner_id: uuid.UUID, configure: Configure) -> None:
    configure(index={"dims": 128})
    do(owner_id, Put(A, "old", {"text": "pizza"}))
    configure(index={"dims": 256})
    assert [item.score for item in do(owner_id, Find(A, "pizza"))] == [None]


def test_a_replaced_value_is_not_found_by_what_it_was(owner_id: uuid.UUID, configure: Configure) -> None:
    configure(index={"fields": ["text"]})
    do(owner_id, Put(A, "k", {"text": "pizza"}))
    do(owner_id, Put(A, "k", {"text": "bicycle"}))
    [item] = do(owner_id, Find(A, "pizza"))
    assert item.score < 0.2


def test_a_named_embedding_is_asked_once_for_all_texts_and_told_what_for(owner_id: uuid.UUID, configure: Configure) -> None:
    configure(index={"dims": 2, "embed": "some:model", "fields": ["text"]})
    asked: list[tuple[list[str], str]] = []

    def embed(texts: Any, purpose: str) -> list[list[float]]:
        assert not db.session().in_transaction()
        asked.append((list(texts), purpose))
        return [[float(text.count("x")), float(text.count("y"))] for text in texts]

    carry_out(owner_id, [Put(A, "x", {"text": "xx"}), Put(A, "y", {"text": "yy"}), Put(A, "xy", {"text": "xy"})], embed=embed)
    found = do(owner_id, Find(A, "xxx"), embed=embed)
    assert asked == [(["xx", "yy", "xy"], "item"), (["xxx"], "query")]
    assert [(item.key, round(item.score, 3)) for item in found] == [("x", 1.0), ("xy", 0.707), ("y", 0.0)]


@pytest.mark.parametrize("made", [[], [[1.0]], [[1.0, 2.0, 3.0]], [[float("nan"), 1.0]], [[1.0, 2.0], [1.0, 2.0]]])
def test_an_embedding_that_makes_something_else_keeps_nothing(owner_id: uuid.UUID, configure: Configure, made: Any) -> None:
    configure(index={"dims": 2, "embed": "some:model"})
    with pytest.raises(Unavailable):
        do(owner_id, Put(A, "k", {"text": "x"}), embed=lambda *_: made)
    assert rows() == 0


def test_a_search_that_takes_too_long_is_told_so(owner_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    do(owner_id, Put(A, "k", {"text": "x"}))
    monkeypatch.setattr("server.agents.memory.searching.within", lambda _: sa.func.pg_sleep(60).is_not(None))
    monkeypatch.setattr("server.agents.memory.searching.LOOK_S", 0.05)
    with pytest.raises(Refusal) as refused:
        do(owner_id, Find(A))
    assert refused.value.code == "search_too_wide"
    assert value(owner_id, "k") == {"text": "x"}
