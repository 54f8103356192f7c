"""Redis: the client of this process, and the counters that bound how often somebody may do something.

Redis rings and carries; nothing that was accepted lives there alone.
"""

from __future__ import annotations

import logging
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from server.kit.errors import TooMany

__all__ = ["allow", "client", "configure", "is_up"]

log = logging.getLogger(__name__)

ANSWER_S = 1  # how long Redis may take to answer; it takes a fraction of a millisecond

_clients: dict[str, redis.Redis] = {}


def configure(url: str) -> None:
    """Name the server; connects at the first use."""
    _clients["default"] = redis.Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        health_check_interval=15,
        # A pooled connection may have been cut meanwhile: once more. Who does not answer in time is not asked twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        max_connections=64,
    )


def client() -> redis.Redis:
    """The client of this process (a pool; use it from any thread)."""
    return _clients["default"]


def is_up() -> bool:
    """Whether Redis answers now (one round trip, at most a second)."""
    try:
        return bool(client().ping())
    except redis.RedisError:
        return False


def allow(name: str, *, times: int, window_s: int, message: str | None = None) -> None:
    """Count one use of `name`; more than `times` in a window of `window_s` seconds raises TooMany.

    While Redis is away nothing is counted and everything is allowed: what must never happen twice is a row, not a counter.
    """
    window = int(time.time()) // window_s
    key = f"parley:limit:{name}:{window}"
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, window_s)
            count, _ = pipe.execute()
    except redis.RedisError:
        log.warning("redis.limit_skipped", extra={"facts": {"name": name.split(":", maxsplit=1)[0]}})
        return
    if count > times:
        raise TooMany(message, retry_after_s=window_s - int(time.time()) % window_s)
