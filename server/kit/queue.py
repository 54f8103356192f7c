"""The queue: Celery over Redis, set up for latency. A message carries a task's name and ids; the truth is a row.

Lanes are queues: `runs` for agents, `fast` for short work that somebody waits for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery, Task
from flask import Flask
from kombu.exceptions import OperationalError
from redis import RedisError

from server.kit import redis
from server.kit.errors import Unavailable
from server.settings import Settings

__all__ = ["LANES", "celery", "configure", "heard", "ring", "send", "task", "waiting"]

log = logging.getLogger(__name__)

LANES = ("runs", "fast")
PREFIX = "parley:"
# A message is taken back from a dead worker by the sweep, never by the broker: longer than any run.
BELL_MS = 500  # should a message be lost, it is rung for again after so long
VISIBILITY_TIMEOUT_S = 7 * 24 * 3600


class InAppContext(Task):  # type: ignore[misc]
    """A task that runs inside the Flask app of its process (its database session, its settings)."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.app.flask_app.app_context():
            return super().__call__(*args, **kwargs)


celery = Celery("parley", task_cls=InAppContext)


def configure(app: Flask, settings: Settings) -> None:
    """Attach the queue to the app of this process."""
    celery.flask_app = app
    celery.conf.update(
        broker_url=settings.redis_url,
        broker_transport="server.kit.broker:Transport" if settings.redis_url.startswith("redis") else None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        task_send_sent_event=False,
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_default_queue="runs",
        task_create_missing_queues=True,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=1,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "global_keyprefix": PREFIX,
            "socket_timeout": 5,
            "socket_connect_timeout": 1,
        },
        timezone="UTC",
    )


def task(name: str) -> Callable[[Callable[..., Any]], Task]:
    """Register a function as the task of that name."""

    def decorate(function: Callable[..., Any]) -> Task:
        registered: Task = celery.task(name=name, ignore_result=True, typing=False)(function)
        return registered

    return decorate


def send(name: str, *args: str, lane: str = "runs") -> None:
    """Queue a task by name. Raises Unavailable when the broker does not take it."""
    try:
        celery.send_task(name, args=args, queue=lane, retry=False, ignore_result=True)
    except OperationalError:
        raise Unavailable("The queue does not answer; try again.") from None


def ring(name: str) -> None:
    """Queue a task without arguments, unless one that was rung for still waits to be begun. Raises Unavailable."""
    try:
        is_first = redis.client().set(f"{PREFIX}bell:{name}", 1, nx=True, px=BELL_MS)
    except RedisError:
        raise Unavailable("The queue does not answer; try again.") from None
    if is_first:
        send(name)


def heard(name: str) -> None:
    """Say, before its work is looked for, that a task that was rung for has begun: from now on it is rung for anew."""
    try:
        redis.client().delete(f"{PREFIX}bell:{name}")
    except RedisError:
        log.warning("queue.bell_stays")


def waiting(lane: str) -> int:
    """How many messages of a lane no worker has taken yet; 0 while the broker does not answer."""
    try:
        return int(redis.client().llen(f"{PREFIX}{lane}"))
    except RedisError:
        return 0
