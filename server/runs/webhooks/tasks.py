"""Sends webhooks, in a worker."""

from __future__ import annotations

import uuid

from flask import current_app

from server.agents import catalogue
from server.kit.queue import task
from server.runs.webhooks import actions

__all__ = ["deliver", "wake"]


@task(actions.DELIVER)
def deliver(run_id: str, tries: str) -> None:
    """Send the webhook of a run that has been tried so often."""
    configured = catalogue.config().webhooks
    headers = configured.headers if configured is not None else {}
    private = current_app.config["SETTINGS"].outbound_private
    actions.deliver(uuid.UUID(run_id), int(tries), headers=headers, private=private)


def wake() -> int:
    """Queue the webhooks that are due; how many. The scheduler does this each round."""
    return actions.wake_due(current_app.config["SETTINGS"].wake_after_s)
