"""The grouped writer of state: one transaction for many, and a bad row fails alone."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from server.engine import statewriter
from server.engine.statewriter import LeaseLost, Statement, StateWriter
from server.kit.migration import libpq_url
from server.settings import Settings

STALE = 100
# Attempts below STALE hold their lease, whatever the run; waits while somebody holds the gate.
FENCE_SQL = f"""
    WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(4711))
    SELECT id, attempt FROM gate, unnest(%s::uuid[], %s::int[]) AS asked(id, attempt) WHERE attempt < {STALE}
"""
INSERT = "INSERT INTO written (run_id, place, word, tx) VALUES (%s, %s, %s, txid_current())"


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database with an empty table to write into."""
    with psycopg.connect(libpq_url(settings.database_url), autocommit=True) as opened:
        opened.execute("DROP TABLE IF EXISTS written")
        opened.execute("CREATE TABLE written (run_id uuid, place int, word text, tx bigint)")
        opened.execute("CREATE INDEX ON written (word)")
        yield opened
        opened.execute("DROP TABLE written")


@pytest.fixture
def writer(connection: psycopg.Connection[Any], settings: Settings) -> Iterator[StateWriter]:
    made = StateWriter(libpq_url(settings.database_url), FENCE_SQL)
    made.start()
    yield made
    made.stop()


def write(writer: StateWriter, *words: str, run_id: uuid.UUID | None = None, attempt: int = 1) -> Any:
    """Give words to the writer; what it promises."""
    run_id = run_id or uuid.uuid4()
    rows = [(run_id, place, word) for place, word in enumerate(words)]
    return writer.put((run_id, attempt), [Statement(INSERT, rows)])


def words(connection: psycopg.Connection[Any]) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM written ORDER BY word").fetchall()]


class Shut:
    """While it is open nobody's transaction gets past its first question."""

    def __init__(self, settings: Settings) -> None:
        self.connection = psycopg.connect(libpq_url(settings.database_url), autocommit=True)

    def __enter__(self) -> None:
        self.connection.execute("SELECT pg_advisory_lock(4711)")

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def test_what_is_written_is_there_when_its_future_is_done(writer: StateWriter, connection: psycopg.Connection[Any]) -> None:
    assert write(writer, "one").result(10) is None
    assert words(connection) == ["one"]


def test_a_stale_attempt_is_refused_and_stores_nothing_while_its_neighbours_are_stored(
    writer: StateWriter, connection: psycopg.Connection[Any], settings: Settings
) -> None:
    run_id = uuid.uuid4()
    with Shut(settings):
        good = write(writer, "good", run_id=run_id)
        stale = write(writer, "stale", run_id=run_id, attempt=STALE)
    with pytest.raises(LeaseLost):
        stale.result(10)
    good.result(10)
    assert words(connection) == ["good"]


def test_everything_that_waits_goes_in_one_transaction(
    writer: StateWriter, connection: psycopg.Connection[Any], settings: Settings
) -> None:
    with Shut(settings):
        first = write(writer, "0")  # goes alone, or with those that were quick enough
        waiting = [write(writer, str(number)) for number in range(1, 50)]
    for each in (first, *waiting):
        each.result(10)
    transactions = connection.execute("SELECT count(DISTINCT tx), count(*) FROM written").fetchone()
    assert transactions in ((1, 50), (2, 50))


def test_the_rows_of_a_run_keep_their_order(writer: StateWriter, connection: psycopg.Connection[Any], settings: Settings) -> None:
    run_id = uuid.uuid4()
    update = Statement("UPDATE written SET word = %s WHERE run_id = %s", [("second", run_id), ("third", run_id)])
    with Shut(settings):
        futures = [write(writer, "first", run_id=run_id), writer.put((run_id, 1), [update])]
    for each in futures:
        each.result(10)
    assert words(connection) == ["third"]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("a\x00b", psycopg.DataError),
        ("".join(uuid.uuid4().hex for _ in range(1000)), psycopg.errors.ProgramLimitExceeded),
    ],
    ids=["NUL", "too long for an index"],
)
def test_a_row_that_cannot_be_stored_fails_alone_and_at_once(
    writer: StateWriter, connection: psycopg.Connection[Any], settings: Settings, bad: str, kind: type[Exception]
) -> None:
    with Shut(settings):
        good, poor, also_good = write(writer, "good"), write(writer, "half", bad), write(writer, "too")
    began = time.monotonic()
    with pytest.raises(kind):
        poor.result(10)
    good.result(10)
    also_good.result(10)
    assert time.monotonic() - began < 5
    assert words(connection) == ["good", "too"]


def test_a_connection_that_is_cut_is_opened_again_and_nothing_is_lost(
    writer: StateWriter, connection: psycopg.Connection[Any], settings: Settings
) -> None:
    write(writer, "before").result(10)
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley-state-writer'")
    write(writer, "after").result(10)
    assert words(connection) == ["after", "before"]


def test_a_write_that_nobody_waits_for_any_more_does_not_disturb_the_others(
    writer: StateWriter, connection: psycopg.Connection[Any], settings: Settings
) -> None:
    with Shut(settings):
        given_up, other = write(writer, "given up"), write(writer, "other")
        given_up.cancel()
    other.result(10)
    write(writer, "next").result(10)
    assert "other" in words(connection)


def test_stopping_stores_what_was_taken(connection: psycopg.Connection[Any], settings: Settings) -> None:
    made = StateWriter(libpq_url(settings.database_url), FENCE_SQL)
    made.start()
    with Shut(settings):
        taken = [write(made, str(number)) for number in range(5)]
        stopping = threading.Thread(target=made.stop)
        stopping.start()
    stopping.join(10)
    assert all(each.done() for each in taken)
    assert len(words(connection)) == 5


def transactions(connection: psycopg.Connection[Any]) -> int:
    """In how many transactions what is there was written."""
    found = connection.execute("SELECT count(DISTINCT tx) FROM written").fetchone()
    assert found is not None
    return int(found[0])


def test_what_nobody_waits_for_is_stored_together(
    writer: StateWriter, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statewriter, "LINGER_S", 0.5)
    futures = [write(writer, f"{number}") for number in range(5)]
    for each in futures:
        assert each.result(10) is None
    assert transactions(connection) == 1


def test_what_somebody_waits_for_is_stored_at_once(
    writer: StateWriter, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statewriter, "LINGER_S", 60.0)
    future = write(writer, "now")
    writer.hurry()
    assert future.result(10) is None
    assert words(connection) == ["now"]
