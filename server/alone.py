"""The process from which runs that are tried again alone are forked: everything imported, no thread, no connection."""

from __future__ import annotations

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from flask import Flask

import server.chats.tasks  # noqa: F401
from server.app import create_app
from server.runs.alone import fork_forever
from server.settings import load


def make_app() -> Flask:
    """The app of a forked process."""
    return create_app(load(), doors=False)


if __name__ == "__main__":
    fork_forever(make_app)
