"""What follows the end of a run that has a webhook."""

from __future__ import annotations

import uuid

from flask import current_app

from server.kit.db import commit, db, rollback
from server.kit.queue import task
from server.langgraph_api.starting import ENDED
from server.langgraph_api.webhooks import told
from server.runs import actions as runs
from server.runs.models import Run
from server.runs.webhooks import actions as webhooks

__all__ = ["follow"]


@task(ENDED)
def follow(run_id: str) -> None:
    """Note the webhook of an ended run, which is then sent; once, however often this is called."""
    run = db.session.get(Run, uuid.UUID(run_id), with_for_update=True, populate_existing=True)
    if run is None or run.then_due_at is None:
        rollback()
        return
    url = (run.options or {}).get("webhook")
    if url:
        words = current_app.config["SETTINGS"].run_status_words
        webhooks.add(run.id, run.owner_id, url, told(run, words))
    runs.then_done(run.id)
    commit()
