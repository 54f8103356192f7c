"""Notices to every process: somebody signed out, a chat is gone, a run is to stop. Fire and forget; what must not be lost is a row."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson
import redis

from server.kit.redis import client
from server.realtime.tail import tail

__all__ = ["listen", "on", "tell"]

log = logging.getLogger(__name__)

CHANNEL = "parley:notices"

_handlers: dict[str, list[Callable[..., None]]] = {}


def on(kind: str, handler: Callable[..., None]) -> None:
    """Call `handler(**facts)` in this process for every notice of that kind, once `listen` was called."""
    handlers = _handlers.setdefault(kind, [])
    if handler not in handlers:
        handlers.append(handler)


def tell(kind: str, **facts: Any) -> None:
    """Send a notice to all processes, this one too. A notice that Redis does not take is dropped, with a line in the log."""
    try:
        client().publish(CHANNEL, orjson.dumps([kind, facts]))
    except redis.RedisError:
        log.warning("control.dropped", extra={"facts": {"kind": kind}})


def listen() -> None:
    """Hear the notices in this process, on the connection that the tail has already."""
    tail.hear(CHANNEL, _heard)


def _heard(frame: bytes) -> None:
    kind, facts = orjson.loads(frame)
    for handler in _handlers.get(kind, ()):
        try:
            handler(**facts)
        except Exception:
            log.exception("control.handler_failed", extra={"facts": {"kind": kind}})
