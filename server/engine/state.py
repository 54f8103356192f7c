"""The agents' state: checkpoints in PostgreSQL, written in groups, each under the fence of the run that writes it.

LangGraph's own tables and statements are used as they are. What is ours: the writes of all runs of a process are collected and go in
one transaction after the other, and each transaction first asks which of its runs still hold their lease.
"""

from __future__ import annotations

import asyncio
import collections
import threading
import uuid
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint, CheckpointMetadata, CheckpointTuple, DeltaChannelHistory
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection, AsyncCursor, OperationalError
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from server.engine.statetypes import nothing_blocked
from server.engine.statewriter import Statement, StateWriter

__all__ = ["KnownAs", "RunSaver", "StateRoom"]

Returned = TypeVar("Returned")

# Two processes must not set the tables up at once.
SETUP_LOCK = 0x7061726C
SETUP_PAUSE_S = 0.1
READ_TRIES = 20
MAX_UNSETTLED = 32  # writes of a run that may be under way
READ_PAUSE_S = 0.25


class StateRoom:
    """The loop and the connections over which the checkpoints of this process are read, and the thread that writes them."""

    def __init__(self, database_url: str, fence_sql: str, *, max_connections: int = 4) -> None:
        self._url = database_url.replace("postgresql+psycopg://", "postgresql://")
        self._max_connections = max_connections
        self.writer = StateWriter(self._url, fence_sql)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="state", daemon=True)
        self.pool: AsyncConnectionPool[Any]
        self.saver: AsyncPostgresSaver

    def open(self) -> None:
        """Connect, and make LangGraph's tables where they are missing."""
        self._thread.start()
        self.wait_for(self._open())
        self.writer.start()

    async def _open(self) -> None:
        self.pool = AsyncConnectionPool(
            self._url,
            min_size=1,
            max_size=self._max_connections,
            timeout=30,
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": 2, "row_factory": dict_row, "application_name": "parley-state"},
        )
        await self.pool.open(wait=True)
        self.saver = AsyncPostgresSaver(self.pool)
        async with self.pool.connection() as connection:
            # Not waited for inside a statement: the setup makes indexes concurrently, which waits for all statements in progress.
            while not await _is_true(connection, "SELECT pg_try_advisory_lock(%s)"):  # noqa: ASYNC110
                await asyncio.sleep(SETUP_PAUSE_S)
            try:
                await AsyncPostgresSaver(connection).setup()
            finally:
                await _is_true(connection, "SELECT pg_advisory_unlock(%s)")

    def close(self) -> None:
        """Write what was taken, close the connections and end the loop."""
        self.writer.stop()
        self.wait_for(self.pool.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)

    def wait_for(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Carry out `work` on the loop from a thread that may block."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def do(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Carry out `work` on the loop from another loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


async def _is_true(connection: AsyncConnection[DictRow], sql: str) -> bool:
    """What PostgreSQL says of the lock under which the tables are set up."""
    found = await (await connection.execute(sql, (SETUP_LOCK,))).fetchone()
    return found is not None and bool(next(iter(found.values())))


class Recorder:
    """Stands in for a cursor where the base class writes: takes the statements down instead of sending them."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    async def execute(self, sql: str, row: Sequence[Any]) -> None:
        """Take one row down."""
        self.statements.append(Statement(sql, [row]))

    async def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Take several rows down."""
        if rows:
            self.statements.append(Statement(sql, rows))


@dataclass(frozen=True)
class KnownAs:
    """What a program calls a thread, and what its checkpoints are kept under: two owners may use the same name."""

    name: str
    key: str

    def kept(self, config: RunnableConfig) -> RunnableConfig:
        """A config of the program's, as the tables know it."""
        return _renamed(config, self.name, self.key)

    def told(self, found: CheckpointTuple) -> CheckpointTuple:
        """A checkpoint out of the tables, as the program knows it."""
        if self.name == self.key:
            return found
        parent = found.parent_config and _renamed(found.parent_config, self.key, self.name)
        return found._replace(config=_renamed(found.config, self.key, self.name), parent_config=parent)

    def named(self, config: RunnableConfig) -> RunnableConfig:
        """A config out of the tables, as the program knows it."""
        return _renamed(config, self.key, self.name)


def _renamed(config: RunnableConfig, before: str, after: str) -> RunnableConfig:
    if before == after or config.get("configurable", {}).get("thread_id") != before:
        return config
    return {**config, "configurable": {**config["configurable"], "thread_id": after}}


class RunSaver(AsyncPostgresSaver):
    """The checkpointer of one attempt of a run. A write raises LeaseLost when the attempt is stale.

    A write is taken at once and stored with others, while the agent goes on; before anything is read, and before the run ends,
    all of them are committed (`settled`).

    waits: each write is committed before the agent goes on (the durability `sync`).
    is_fresh: the thread is known to have no state yet, so that nobody need ask.
    known_as: what the agent calls the thread, where that is not what its checkpoints are kept under.
    types: what may come back out of a checkpoint, besides what the graph declares; anything else raises StateTypeBlocked.
    Source: LangGraph's BaseCheckpointSaver; tables and statements of langgraph-checkpoint-postgres.
    """

    def __init__(
        self,
        room: StateRoom,
        run_id: uuid.UUID,
        attempt: int,
        *,
        is_fresh: bool,
        types: Collection[tuple[str, str]] = (),
        known_as: KnownAs | None = None,
        waits: bool = False,
    ) -> None:
        self.__dict__.update(room.saver.__dict__)
        if isinstance(self.serde, JsonPlusSerializer):
            self.serde = self.serde.with_msgpack_allowlist(types)
        self._room = room
        self._fence = (run_id, attempt)
        self._is_fresh = is_fresh
        self._known_as = known_as or KnownAs("", "")
        self._waits = waits
        self._unsettled: collections.deque[Future[None]] = collections.deque()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names. Waits while the database is away for a moment."""
        if self._is_fresh:
            return None
        for _ in range(READ_TRIES):
            try:
                return await self._read(config)
            except OperationalError:
                await asyncio.sleep(READ_PAUSE_S)
        return await self._read(config)

    async def _read(self, config: RunnableConfig) -> CheckpointTuple | None:
        await self.settled()
        with nothing_blocked():
            found = await self._room.do(super().aget_tuple(self._known_as.kept(config)))
        return found and self._known_as.told(found)

    async def alist(
        self, config: RunnableConfig | None, *, before: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread, newest first."""
        await self.settled()
        listed = super().alist(config and self._known_as.kept(config), before=before and self._known_as.kept(before), **options)

        async def collect() -> list[CheckpointTuple]:
            return [each async for each in listed]

        with nothing_blocked():
            collected = await self._room.do(collect())
        for each in collected:
            yield self._known_as.told(each)

    async def aput(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any) -> RunnableConfig:
        """Store a checkpoint; the config that names it."""
        return self._known_as.named(await super().aput(self._known_as.kept(config), checkpoint, metadata, new_versions))

    async def aput_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        """Store what a step has written before its checkpoint is. As the base class does, but without a thread for some bytes."""
        place = self._known_as.kept(config)["configurable"]
        keeps_last = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        rows = self._dump_writes(
            place["thread_id"], place["checkpoint_ns"], place["checkpoint_id"], task_id, task_path, [tuple(each) for each in writes]
        )
        async with self._cursor(pipeline=True) as cursor:
            await cursor.executemany(self.UPSERT_CHECKPOINT_WRITES_SQL if keeps_last else self.INSERT_CHECKPOINT_WRITES_SQL, rows)

    async def aget_delta_channel_history(self, *, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, DeltaChannelHistory]:
        """What channels that keep their changes have taken in."""
        await self.settled()
        return await self._room.do(super().aget_delta_channel_history(config=self._known_as.kept(config), channels=channels))

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """The base class asks for a pipelined cursor to write, for a plain one to read."""
        if not pipeline:
            async with self._room.pool.connection() as connection, connection.cursor(binary=True, row_factory=dict_row) as cursor:
                yield cursor
            return
        recorder = Recorder()
        yield recorder  # type: ignore[misc]
        self._is_fresh = False
        self._unsettled.append(self._room.writer.put(self._fence, recorder.statements))
        if self._waits or len(self._unsettled) > MAX_UNSETTLED or self._unsettled[0].done():
            await self.settled()

    async def settled(self) -> None:
        """Wait until everything that was put is committed. Raises LeaseLost, and what else kept it from that."""
        if self._unsettled:
            self._room.writer.hurry()
        while self._unsettled:
            await asyncio.wrap_future(self._unsettled.popleft())
