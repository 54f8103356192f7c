"""A process that asks a running server's hub for runs, as a door does: one JSON line in, one JSON line out.

It is a process of its own because an app belongs to one database and one queue.
"""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from server.app import create_app
from server.kit import redis
from server.kit.db import commit, rollback
from server.kit.errors import Refusal
from server.runs import actions
from server.settings import load
from tests.runs import factories

owner_id: uuid.UUID


def start(agent: str, text: str, count: int = 1, thread_id: str | None = None) -> list[str]:
    """The ids of so many new runs."""
    return [str(_start(agent, text, thread_id)) for _ in range(count)]


def _start(agent: str, text: str, thread_id: str | None) -> uuid.UUID:
    run = actions.start(
        owner_id=owner_id,
        agent_id=agent,
        input={"messages": [{"role": "user", "content": text}]},
        context={"chat_id": "none"},
        thread_id=thread_id,
        timeout_s=120,
        max_queued=10_000,
    )
    commit()
    return run.id


def cancel(run_id: str) -> None:
    """The run is stopped, or asked to stop."""
    actions.cancel(uuid.UUID(run_id))
    commit()


def answer(run_id: str, value: Any) -> str:
    """`ok`, or the code of the refusal."""
    try:
        actions.answer(uuid.UUID(run_id), value)
        commit()
    except Refusal as refusal:
        rollback()
        return refusal.code
    return "ok"


def empty_redis() -> None:
    """Nothing is left in Redis."""
    redis.client().flushall()


COMMANDS = {"start": start, "cancel": cancel, "answer": answer, "empty_redis": empty_redis}

if __name__ == "__main__":
    with create_app(load(), doors=False).app_context():
        owner_id = factories.owner()
        for line in sys.stdin:
            name, values = json.loads(line)
            try:
                result = {"result": COMMANDS[name](**values)}  # type: ignore[operator]
            except Refusal as refusal:
                rollback()
                result = {"refused": refusal.code}
            except (RedisError, SQLAlchemyError):
                rollback()
                result = {"refused": "away"}
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
