"""The application: one explicit table of doors over one ground."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from server.accounts import tokens
from server.agents import catalogue
from server.kit import cors, db, http, logs, queue, redis
from server.settings import Settings

__all__ = ["CHORES", "TASKS", "chores", "create_app"]

# Every HTTP door: a module that has a blueprint `door`.
DOORS = (
    "server.web.routes",
    "server.accounts.routes",
    "server.agents.routes",
    "server.workspaces.routes",
    "server.workspaces.documents.routes",
    "server.chats.routes",
    "server.langgraph_api.info",
    "server.langgraph_api.runs",
    "server.langgraph_api.assistants",
    "server.langgraph_api.threads",
    "server.langgraph_api.store",
    "server.langgraph_api.crons",
    "server.langgraph_api.protocol",
    "server.langgraph_api.webhooks",
)
# Every Socket.IO door: a module that has `install(app, settings)`.
GATES = ("server.chats.gate",)
# Every module that has tasks of the queue.
TASKS = (
    "server.runs.tasks",
    "server.runs.threads.tasks",
    "server.runs.agent_tasks",
    "server.runs.memory_tasks",
    "server.runs.webhooks.tasks",
    "server.chats.tasks",
    "server.langgraph_api.ended",
    "server.langgraph_api.tasks",
)
# What the scheduler does each round, besides its sweep: `module:function`.
CHORES = (
    "server.langgraph_api.crons:fire",
    "server.runs.webhooks.tasks:wake",
    "server.runs.threads.actions:sweep_expired",
    "server.agents.memory.actions:sweep_expired",
)
# Every module that has models; the migrations are made from them.
MODELS = (
    "server.accounts.models",
    "server.workspaces.models",
    "server.workspaces.documents.models",
    "server.realtime.models",
    "server.runs.threads.models",
    "server.runs.models",
    "server.runs.crons.models",
    "server.runs.webhooks.models",
    "server.agents.models",
    "server.agents.memory.models",
    "server.chats.models",
)


def create_app(settings: Settings, *, doors: bool = True) -> Flask:
    """The Flask app of a process. Connects to nothing until it is used.

    doors: False for a worker or scheduler, which needs the ground (database, queue, settings) alone.
    """
    logs.configure("debug" if settings.debug else settings.log_level)
    app = Flask("server", static_folder=None)
    app.config["SETTINGS"] = settings
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    db.configure(app, settings)
    redis.configure(settings.redis_url)
    queue.configure(app, settings)
    for name in MODELS:
        importlib.import_module(name)
    catalogue.install(app, settings)
    if doors:
        tokens.install(app)
        http.install(app)
        cors.install(app, settings, also=lambda: catalogue.config().cors)
        if settings.trusted_proxies:
            trusted = settings.trusted_proxies
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted, x_proto=trusted, x_host=trusted)  # type: ignore[method-assign]
        for name in DOORS:
            app.register_blueprint(importlib.import_module(name).door)
        for name in GATES:
            importlib.import_module(name).install(app, settings)
    return app


def chores() -> list[Callable[[], int]]:
    """What the scheduler does each round."""
    named = [name.split(":") for name in CHORES]
    return [getattr(importlib.import_module(module), function) for module, function in named]
