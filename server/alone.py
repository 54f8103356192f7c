"""The process from which runs that are tried again alone are forked: everything imported, no thread, no connection."""

from __future__ import annotations

import importlib
import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from flask import Flask

from server.app import TASKS, create_app
from server.runs.alone import fork_forever
from server.settings import load

for name in TASKS:
    importlib.import_module(name)


def make_app() -> Flask:
    """The app of a forked process."""
    return create_app(load(), doors=False)


if __name__ == "__main__":
    fork_forever(make_app)
