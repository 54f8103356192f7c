"""One line an event: the moment, the level, the event's name, its facts as `key=value`. Never what people or models said."""

from __future__ import annotations

import logging
import sys

__all__ = ["configure"]


class Line(logging.Formatter):
    """Formats a record as `moment level event key=value …`."""

    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", None) or {}
        told = " ".join(f"{key}={value}" for key, value in facts.items())
        line = f"{self.formatTime(record)} {record.levelname.lower():7} {record.getMessage()}{' ' if told else ''}{told}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(level: str) -> None:
    """Send the log of this process to standard error, in lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("celery", "kombu", "httpx", "httpcore", "openai", "alembic", "engineio", "socketio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
