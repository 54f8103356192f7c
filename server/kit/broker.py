"""The queue's transport: Redis as kombu speaks it, without the books that kombu keeps of messages that are not acknowledged.

A message of this server only wakes (the truth is a row, and the sweep finds what a lost message forgot), so one is taken when it is
popped. Kombu writes each down in Redis before it hands it on, and strikes it out after, two round trips and transactions a message.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis

__all__ = ["Transport"]


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel on which nothing is acknowledged."""

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Take messages as they come."""
        return super().basic_consume(queue, True, *args, **kwargs)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Nothing: it was taken when it was popped."""


class Transport(redis.Transport):  # type: ignore[misc]
    """Redis without acknowledgements."""

    Channel = Channel
