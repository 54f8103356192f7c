"""The application: one explicit table of doors over one ground."""

from __future__ import annotations

import importlib

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from server.accounts import tokens
from server.agents import catalogue
from server.kit import cors, db, http, logs, queue, redis
from server.settings import Settings

__all__ = ["TASKS", "create_app"]

# Every HTTP door: a module that has a blueprint `door`.
DOORS = (
    "server.web.routes",
    "server.accounts.routes",
    "server.agents.routes",
    "server.workspaces.routes",
    "server.workspaces.documents.routes",
    "server.chats.routes",
)
# Every Socket.IO door: a module that has `install(app, settings)`.
GATES = ("server.chats.gate",)
# Every module that has tasks of the queue.
TASKS = ("server.runs.tasks", "server.chats.tasks")
# Every module that has models; the migrations are made from them.
MODELS = (
    "server.accounts.models",
    "server.workspaces.models",
    "server.workspaces.documents.models",
    "server.realtime.models",
    "server.runs.models",
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
        cors.install(app, settings)
        if settings.trusted_proxies:
            trusted = settings.trusted_proxies
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted, x_proto=trusted, x_host=trusted)  # type: ignore[method-assign]
        for name in DOORS:
            app.register_blueprint(importlib.import_module(name).door)
        for name in GATES:
            importlib.import_module(name).install(app, settings)
    return app
