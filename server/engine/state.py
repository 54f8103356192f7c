"""The agents' state: checkpoints in PostgreSQL, written under the fence of the run that writes them.

All checkpoint traffic of a process goes over one loop with one small pool of connections, whichever loop an agent runs on.
LangGraph's own tables and statements are used as they are; what is ours is that every write first asks, in its transaction, whether
the run's attempt still holds its lease.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

__all__ = ["LeaseLost", "RunSaver", "StateRoom"]

Returned = TypeVar("Returned")

# Two processes must not set the tables up at once.
SETUP_LOCK = 0x7061726C


class LeaseLost(Exception):
    """Another attempt of the run has begun; what this one would store no longer counts."""


class StateRoom:
    """The loop and the connections over which the checkpoints of this process travel."""

    def __init__(self, database_url: str, fence_sql: str, *, max_connections: int = 8) -> None:
        self.fence_sql = fence_sql
        self._url = database_url.replace("postgresql+psycopg://", "postgresql://")
        self._max_connections = max_connections
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="state", daemon=True)
        self.pool: AsyncConnectionPool[Any]
        self.saver: AsyncPostgresSaver

    def open(self) -> None:
        """Connect, and make LangGraph's tables where they are missing."""
        self._thread.start()
        self.wait_for(self._open())

    async def _open(self) -> None:
        self.pool = AsyncConnectionPool(
            self._url,
            min_size=1,
            max_size=self._max_connections,
            timeout=30,
            open=False,
            check=AsyncConnectionPool.check_connection,
            kwargs={"autocommit": True, "prepare_threshold": 5, "row_factory": dict_row, "application_name": "parley-state"},
        )
        await self.pool.open(wait=True)
        self.saver = AsyncPostgresSaver(self.pool)
        async with self.pool.connection() as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", (SETUP_LOCK,))
            try:
                await AsyncPostgresSaver(connection).setup()
            finally:
                await connection.execute("SELECT pg_advisory_unlock(%s)", (SETUP_LOCK,))

    def close(self) -> None:
        """Close the connections and end the loop."""
        self.wait_for(self.pool.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)

    def wait_for(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Carry out `work` on the loop from a thread that may block."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def do(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Carry out `work` on the loop from another loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


class RunSaver(AsyncPostgresSaver):
    """The checkpointer of one attempt of a run. Raises LeaseLost from a write when the attempt is stale.

    Source: LangGraph's BaseCheckpointSaver; tables and reading of langgraph-checkpoint-postgres.
    """

    def __init__(self, room: StateRoom, run_id: uuid.UUID, attempt: int) -> None:
        self.__dict__.update(room.saver.__dict__)
        self._room = room
        self._fence = (run_id, attempt)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names."""
        return await self._room.do(super().aget_tuple(config))

    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread, newest first."""
        listed = super().alist(config, **options)

        async def collect() -> list[CheckpointTuple]:
            return [each async for each in listed]

        for each in await self._room.do(collect()):
            yield each

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
    ) -> RunnableConfig:
        """Store a checkpoint, with the values that changed, in one fenced transaction."""
        return await self._room.do(super().aput(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task of the step in progress has written, in one fenced transaction."""
        await self._room.do(super().aput_writes(config, writes, task_id, task_path))

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """Every write of the base class asks for a pipelined cursor: it gets one inside a transaction that holds the fence."""
        if not pipeline:
            async with super()._cursor() as cursor:
                yield cursor
            return
        async with self._room.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            await cursor.execute(self._room.fence_sql, self._fence)
            if await cursor.fetchone() is None:
                raise LeaseLost
            yield cursor

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget the checkpoints of a thread."""
        await self._room.do(super().adelete_thread(thread_id))

