"""The worker's door: what a queue's message makes happen."""

from __future__ import annotations

import logging
import os
import uuid
from typing import Any

from celery import signals
from flask import Flask

from server.kit import queue
from server.kit.queue import celery, task
from server.runs.actions import EXECUTE, FORGET, TAKE
from server.runs.alone import Alone
from server.runs.host import Host

__all__ = ["execute", "forget_threads", "host", "take"]

log = logging.getLogger(__name__)

CANNOT_START = 5  # exit code of a worker that could not begin

_hosts: list[Host] = []
_alones: list[Alone] = []


@task(EXECUTE)
def execute(run_id: str) -> None:
    """Claim a run and begin to carry it out; returns when it has begun."""
    host().take(uuid.UUID(run_id))


@task(TAKE)
def take() -> None:
    """Claim the runs that wait and begin to carry them out; returns when they have begun."""
    queue.heard(TAKE)
    host().take_due()


@task(FORGET)
def forget_threads(*thread_ids: str) -> None:
    """Delete the checkpoints of threads that nobody has any more."""
    host().engine.forget(thread_ids)


def host() -> Host:
    """The host of this worker process."""
    return _hosts[0]


@signals.worker_init.connect
def _begin(**_: Any) -> None:
    try:
        _hosts_begin()
    except BaseException:
        # Celery would go on without, and take tasks that then all fail. The supervisor starts another worker.
        log.critical("worker.cannot_start", exc_info=True)
        logging.shutdown()
        os._exit(CANNOT_START)


def _hosts_begin() -> None:
    app: Flask = celery.flask_app
    alone = Alone(app)
    started = Host(app, hand_on=alone.take)
    started.start()
    _hosts.append(started)
    _alones.append(alone)


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:
    for alone in _alones:
        alone.dismiss()
    for each in _hosts:
        each.drain(each.settings.drain_s)
        for alone in _alones:
            alone.wait(each.settings.drain_s)
    _hosts.clear()
    _alones.clear()
