"""The worker process: `celery` with every task of the server, for `parley worker` and for `celery -A celery_worker worker`.

It is never made green: an agent's library must find the standard library as it is.
"""

from __future__ import annotations

import os
import warnings

# Has to be there before LangGraph is imported: without it a crafted checkpoint calls what it names.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

import importlib

from celery.platforms import SecurityWarning

from server.app import TASKS, create_app
from server.kit import queue
from server.kit.embedded.attachment import attach
from server.settings import export, load

__all__ = ["celery", "options"]

# Its reason is pickle; this server's queue takes JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)
settings = load()
if not settings.database_url or not settings.redis_url:
    settings = attach(settings).settings
    export(settings)
# Not `app`: that is the name under which the command `celery` would look for its own.
flask_app = create_app(settings, doors=False)
celery = queue.celery
for name in TASKS:
    importlib.import_module(name)


def options(threads: int) -> list[str]:
    """The command line of a worker set up for latency: it talks to no other worker and fetches one message a thread."""
    return [
        "--quiet",
        "worker",
        "--pool=threads",
        f"--concurrency={threads}",
        f"--queues={','.join(queue.LANES)}",
        "--prefetch-multiplier=1",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "--loglevel=warning",
    ]
