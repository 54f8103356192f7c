"""The scheduler's loop: a sweep every so often, until it is told to stop."""

from __future__ import annotations

import logging
import threading

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from server.kit.db import rollback
from server.runs.sweep import Sweep

__all__ = ["run_forever"]

log = logging.getLogger(__name__)


def run_forever(app: Flask, stop: threading.Event) -> None:
    """Sweep until `stop` is set; a round that fails is logged and the next one tries again."""
    settings = app.config["SETTINGS"]
    sweep = Sweep(settings)
    log.info("scheduler.started")
    while not stop.wait(settings.sweep_s):
        with app.app_context():
            try:
                sweep.once()
            except SQLAlchemyError as error:
                rollback()
                log.warning("scheduler.round_failed", extra={"facts": {"kind": type(error).__name__}})
            except Exception:
                rollback()
                log.exception("scheduler.bug")
