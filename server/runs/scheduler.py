"""The scheduler's loop: a sweep every so often, and the chores of other rooms, until it is told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from server.kit.db import rollback
from server.runs.sweep import Sweep

__all__ = ["Chore", "run_forever"]

log = logging.getLogger(__name__)

# Something to be done each round, by any number of schedulers at once; how much of it there was.
Chore = Callable[[], int]


def run_forever(app: Flask, stop: threading.Event, chores: Sequence[Chore] = ()) -> None:
    """Sweep and do the chores until `stop` is set; what fails is logged, keeps nothing else from being done, and is tried next round."""
    settings = app.config["SETTINGS"]
    sweep = Sweep(settings)
    log.info("scheduler.started")
    while not stop.wait(settings.sweep_s):
        for work in (sweep.once, *chores):
            with app.app_context():
                _try(work)


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except SQLAlchemyError as error:
        rollback()
        log.warning("scheduler.round_failed", extra={"facts": {"kind": type(error).__name__}})
    except Exception:
        rollback()
        log.exception("scheduler.bug")
