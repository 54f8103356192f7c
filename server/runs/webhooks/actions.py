"""What becomes of webhooks: noted with the run's end, sent, tried again, given up.

A webhook is at least once: a row is there before anything is sent, and goes when it has been heard. A worker that dies while it sends
leaves the row due for its next try, so that the other side may hear the same twice; it can tell by the `Idempotency-Key`.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from server.kit import outbound, queue, signing
from server.kit.clock import after, iso, now
from server.kit.db import after_commit, commit, db
from server.kit.errors import Unavailable
from server.runs.webhooks.models import Delivery
from server.runs.webhooks.rules import pause_s, signature

__all__ = ["DELIVER", "add", "deliver", "secret", "wake_due"]

log = logging.getLogger(__name__)

# The task that sends one.
DELIVER = "webhooks.deliver"
PAGE = 100
PURPOSE = "webhook"


def secret(owner_id: uuid.UUID) -> str:
    """What the webhooks of a user's runs are signed with."""
    return signing.derived(PURPOSE, str(owner_id))


def add(run_id: uuid.UUID, owner_id: uuid.UUID, url: str, payload: dict[str, Any]) -> None:
    """Have the owner's server told, in the caller's transaction; once for a run, however often this is called."""
    moment = now()
    row = {"run_id": run_id, "owner_id": owner_id, "url": url, "payload": payload, "tries": 0}
    row |= dict.fromkeys(("due_at", "woken_at", "created_at"), moment)
    db.session.execute(insert(Delivery).values(row).on_conflict_do_nothing())
    after_commit(partial(_wake, [(run_id, 0)]))


def wake_due(again_after_s: float) -> int:
    """Queue the webhooks that are due and that no worker was asked to send for so long; how many."""
    moment = now()
    due = sa.select(Delivery.run_id).where(Delivery.due_at <= moment)
    due = due.where(sa.or_(Delivery.woken_at < after(-again_after_s), Delivery.woken_at < Delivery.due_at))
    due = due.order_by(Delivery.due_at).limit(PAGE).with_for_update(skip_locked=True)
    woken = sa.update(Delivery).where(Delivery.run_id.in_(due)).values(woken_at=moment).returning(Delivery.run_id, Delivery.tries)
    found = [(run_id, tries) for run_id, tries in db.session.execute(woken)]
    commit()
    _wake(found)
    return len(found)


def _wake(found: list[tuple[uuid.UUID, int]]) -> None:
    try:
        for run_id, tries in found:
            queue.send(DELIVER, str(run_id), str(tries), lane="fast")
    except Unavailable:
        log.warning("webhooks.delayed")


def deliver(run_id: uuid.UUID, tries: int, *, headers: Mapping[str, str], private: bool) -> None:
    """Send a webhook that has been tried so often, once, whoever else is asked to; then the others of its owner that are due.

    Where too many calls are under way nothing is sent: one of those goes on with it, or it is queued again.
    headers: what the operator sends with every webhook.
    private: it may go to this machine and its network.
    Blocks for as long as the calls take.
    """
    owner_id = db.session.scalar(sa.select(Delivery.owner_id).where(Delivery.run_id == run_id, Delivery.tries == tries))
    commit()
    if owner_id is None:
        return
    with outbound.turn(f"webhook:{owner_id}") as has_room:
        following = (run_id, tries) if has_room else None
        for _ in range(PAGE):
            if following is None:
                return
            claimed = _claimed(*following)
            if claimed is not None:
                _settle(claimed, _send(claimed, headers, private=private))
            following = _due_of(owner_id)


def _due_of(owner_id: uuid.UUID) -> tuple[uuid.UUID, int] | None:
    """The webhook of an owner that has been due for longest."""
    due = sa.select(Delivery.run_id, Delivery.tries).where(Delivery.owner_id == owner_id, Delivery.due_at <= now())
    found = db.session.execute(due.order_by(Delivery.due_at).limit(1)).one_or_none()
    commit()
    return (found.run_id, found.tries) if found is not None else None


def _claimed(run_id: uuid.UUID, tries: int) -> Delivery | None:
    """The webhook as it is to be sent, if nobody else took this try; should this process die now, the next try comes in its time."""
    taken = (
        sa.update(Delivery)
        .where(Delivery.run_id == run_id, Delivery.tries == tries)
        .values(tries=tries + 1, due_at=after(pause_s(tries + 1) or outbound.TIMEOUT_S * 2))
        .returning(Delivery)
    )
    delivery = db.session.scalars(taken, execution_options={"populate_existing": True}).one_or_none()
    commit()
    return delivery


def _send(delivery: Delivery, headers: Mapping[str, str], *, private: bool) -> int | str:
    """The status that the other side answered with; or why there is none."""
    body = orjson.dumps({**delivery.payload, "webhook_sent_at": iso(now())}, option=orjson.OPT_NON_STR_KEYS)
    own = {
        "Content-Type": "application/json",
        "User-Agent": "parley-webhook",
        "Idempotency-Key": str(delivery.run_id),
        "X-Parley-Signature": signature(secret(delivery.owner_id), body, int(time.time())),
    }
    theirs = {name: value for name, value in headers.items() if name.lower() not in {each.lower() for each in own}}
    try:
        return outbound.call("POST", delivery.url, headers={**theirs, **own}, body=body, private=private, max_bytes=0).status
    except outbound.CallRefused:
        return "refused"
    except outbound.CallFailed as failure:
        return str(failure)


def _settle(delivery: Delivery, outcome: int | str) -> None:
    """Let go of a webhook that was heard or that nothing will come of; the next try of any other is in the table."""
    is_heard = isinstance(outcome, int) and 200 <= outcome < 300
    is_last = is_heard or outcome in (410, "refused") or pause_s(delivery.tries) is None
    if is_last:
        db.session.execute(sa.delete(Delivery).where(Delivery.run_id == delivery.run_id, Delivery.tries == delivery.tries))
        commit()
    facts = {"run_id": delivery.run_id, "tries": delivery.tries, "outcome": outcome}
    happened = "webhook.heard" if is_heard else "webhook.given_up" if is_last else "webhook.failed"
    log.log(logging.INFO if is_heard else logging.WARNING, happened, extra={"facts": facts})
