"""The rows of checkpoints: copied to another thread, thinned out, taken back. The tables are LangGraph's; no agent's code is needed.

Source: langgraph-checkpoint-postgres, `MIGRATIONS` (the tables) and `aprune`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from langgraph.types import Interrupt
from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import DeadlockDetected, SerializationFailure

from server.engine.state import StateRoom

__all__ = ["Checkpoints"]

log = logging.getLogger(__name__)

NOBODYS_TASK = "00000000-0000-0000-0000-000000000000"
INTERRUPT, RESUME = "__interrupt__", "__resume__"
TRIES = 5
PAUSE_S = 0.05

ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"

COPY = (
    """
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    SELECT %(to)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    FROM checkpoints WHERE thread_id = %(from)s
    """,
    """
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT %(to)s, checkpoint_ns, channel, version, type, blob FROM checkpoint_blobs WHERE thread_id = %(from)s
    """,
    """
    INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT %(to)s, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
    FROM checkpoint_writes WHERE thread_id = %(from)s
    """,
)

# The checkpoints of some runs with what was written towards the next, and the values that only they have named.
FORGET = """
WITH gone AS (
    DELETE FROM checkpoints WHERE thread_id = %(thread)s AND metadata ->> 'run_id' = ANY(%(runs)s)
    RETURNING checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint -> 'channel_versions' AS versions
), unnamed AS (
    SELECT checkpoint_ns, key AS channel, value AS version FROM gone CROSS JOIN LATERAL jsonb_each_text(versions)
    EXCEPT
    SELECT checkpoint_ns, key, value FROM checkpoints CROSS JOIN LATERAL jsonb_each_text(checkpoint -> 'channel_versions')
    WHERE thread_id = %(thread)s AND coalesce(metadata ->> 'run_id', '') <> ALL(%(runs)s)
), blobs AS (
    DELETE FROM checkpoint_blobs USING unnamed WHERE thread_id = %(thread)s
        AND checkpoint_blobs.checkpoint_ns = unnamed.checkpoint_ns
        AND checkpoint_blobs.channel = unnamed.channel AND checkpoint_blobs.version = unnamed.version
), writes AS (
    DELETE FROM checkpoint_writes USING gone WHERE thread_id = %(thread)s
        AND checkpoint_writes.checkpoint_ns = gone.checkpoint_ns AND checkpoint_writes.checkpoint_id = gone.checkpoint_id
)
SELECT checkpoint_ns, parent_checkpoint_id FROM gone
"""

# Where the runs may have begun: what the checkpoints that went came after, and the newest that are left.
BEGINNINGS = """
SELECT checkpoint_ns, max(checkpoint_id) AS checkpoint_id FROM checkpoints WHERE thread_id = %(thread)s GROUP BY checkpoint_ns
UNION
SELECT checkpoint_ns, checkpoint_id FROM checkpoints
JOIN unnest(%(namespaces)s::text[], %(parents)s::text[]) AS before(ns, id) ON checkpoint_ns = before.ns AND checkpoint_id = before.id
WHERE thread_id = %(thread)s
"""
ASKED = """
SELECT task_id, task_path, channel, type, blob FROM checkpoint_writes
WHERE thread_id = %(thread)s AND checkpoint_ns = %(ns)s AND checkpoint_id = %(id)s AND channel = ANY(%(channels)s)
"""
UNANSWER = """
DELETE FROM checkpoint_writes WHERE thread_id = %(thread)s AND checkpoint_ns = %(ns)s AND checkpoint_id = %(id)s
    AND ((task_id = ANY(%(tasks)s) AND channel <> ALL(%(channels)s)) OR (task_id = %(nobody)s AND channel = %(resume)s))
"""
ANSWERED_SO_FAR = """
UPDATE checkpoint_writes SET type = %(type)s, blob = %(blob)s WHERE thread_id = %(thread)s AND checkpoint_ns = %(ns)s
    AND checkpoint_id = %(id)s AND task_id = %(task)s AND channel = %(resume)s
"""


class Checkpoints:
    """The stored states of threads, by the keys that they are kept under. Every verb is one transaction, and blocks."""

    def __init__(self, room: StateRoom) -> None:
        self._room = room

    def copy(self, key: str, to: str) -> None:
        """Give a thread that has none the whole history of another, as it is at one moment, also while a run goes on there."""
        self._room.wait_for(self._copy(key, to))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the history of threads."""
        self._room.wait_for(self._room.saver.aprune(list(keys), strategy="delete"))

    def keep_latest(self, keys: Sequence[str]) -> list[str]:
        """Keep the newest state of threads alone; those where that was done.

        One whose channels keep their changes needs its history, and is left as it is; so is one that changes all the time.
        """
        return [key for key in keys if self._room.wait_for(self._thin_out(key))]

    def forget_runs(self, key: str, run_ids: Sequence[str]) -> None:
        """Take back what runs that have ended left in a thread. Done twice it is done once. See `taken_back`."""
        self._room.wait_for(self.taken_back(key, run_ids))

    async def taken_back(self, key: str, run_ids: Sequence[str]) -> None:
        """The thread is as it was before the runs: their checkpoints are gone, and the questions that they answered are open again.

        On the room's loop. No run of the thread may be in progress.
        """
        values = {"thread": key, "runs": list(run_ids)}
        async with self._room.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            await cursor.execute(FORGET, values)
            gone = await cursor.fetchall()
            before = {"namespaces": [row["checkpoint_ns"] for row in gone], "parents": [row["parent_checkpoint_id"] for row in gone]}
            await cursor.execute(BEGINNINGS, {**values, **before})
            for row in await cursor.fetchall():
                await self._unanswer(cursor, {"thread": key, "ns": row["checkpoint_ns"], "id": row["checkpoint_id"]})

    async def _unanswer(self, cursor: AsyncCursor[Any], place: dict[str, str]) -> None:
        """Take back the answers that were given to the questions at a checkpoint since these were asked."""
        await cursor.execute(ASKED, {**place, "channels": [INTERRUPT, RESUME]})
        rows = await cursor.fetchall()
        asking = {row["task_id"]: row for row in rows if row["channel"] == INTERRUPT}
        answered = {row["task_id"]: self._loaded(row) for row in rows if row["channel"] == RESUME and row["task_id"] in asking}
        values = {**place, "tasks": list(asking), "channels": [INTERRUPT, RESUME], "nobody": NOBODYS_TASK, "resume": RESUME}
        if asking:
            await cursor.execute(UNANSWER, values)
        for task_id, answers in answered.items():
            known = _answers_before(asking[task_id], place["ns"], self._loaded(asking[task_id]), len(answers))
            kind, blob = self._room.saver.serde.dumps_typed(answers[:known])
            await cursor.execute(ANSWERED_SO_FAR, {**values, "task": task_id, "type": kind, "blob": blob})

    def _loaded(self, row: dict[str, Any]) -> Any:
        return self._room.saver.serde.loads_typed((row["type"], row["blob"]))

    async def _copy(self, key: str, to: str) -> None:
        async with self._room.pool.connection() as connection, connection.transaction():
            await _all_at_one_moment(connection, [(sql, {"from": key, "to": to}) for sql in COPY])

    async def _thin_out(self, key: str) -> bool:
        for _ in range(TRIES):
            try:
                await self._room.saver.aprune([key], strategy="keep_latest")
            except NotImplementedError:
                return False
            except (SerializationFailure, DeadlockDetected):
                await asyncio.sleep(PAUSE_S)
            else:
                return True
        log.warning("checkpoints.not_thinned_out", extra={"facts": {"thread": key}})
        return False


async def _all_at_one_moment(connection: AsyncConnection[Any], statements: Sequence[tuple[str, dict[str, Any]]]) -> None:
    await connection.execute(ONE_MOMENT)
    for sql, values in statements:
        await connection.execute(sql, values)


def _answers_before(row: dict[str, Any], namespace: str, asked: Any, most: int) -> int:
    """How many questions of the task were answered when it asked this one: an interrupt's id is made of that number."""
    name = row["task_path"].rpartition(", ")[2].rpartition("~")[2]
    own = f"{name}:{row['task_id']}"
    whole = f"{namespace}|{own}" if namespace else own
    ids = {each.id for each in asked} if isinstance(asked, (list, tuple)) else {asked.id}
    for answered in range(most + 1):
        if Interrupt.from_ns(None, f"{whole}|{answered}" if answered else whole).id in ids:
            return answered
    return most
