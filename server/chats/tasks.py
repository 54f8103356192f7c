"""What follows the runs of chats."""

from __future__ import annotations

import uuid

from server.chats import actions
from server.kit.queue import task

__all__ = ["record_reply"]


@task(actions.REPLY)
def record_reply(run_id: str) -> None:
    """Store an ended run's answer as a message of its chat."""
    actions.record_reply(uuid.UUID(run_id))
