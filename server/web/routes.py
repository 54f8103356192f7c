"""The page at `/`, the API's own pages, and health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, send_from_directory

from server.kit.http import answer
from server.web import openapi
from server.web.health import health
from server.web.schemas import Health, Pong

__all__ = ["door"]

door = Blueprint("web", __name__)

STATIC = Path(__file__).parent / "static"
# Nothing from another host, nothing inline; Socket.IO over the server's own origin.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# The viewers of the API's description write their own styles, and Redoc works in a blob.
DOCS_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# Built files carry a hash of their content in their name.
FOREVER = "public, max-age=31536000, immutable"


@door.get("/")
def page() -> Response:
    """The page."""
    return _file("index.html", policy=PAGE_POLICY)


@door.get("/static/<path:name>")
def static_file(name: str) -> Response:
    """A file of the page."""
    is_hashed = name.startswith("assets/")
    return _file(name, policy=PAGE_POLICY, cache=FOREVER if is_hashed else "no-cache")


@door.get("/docs")
def swagger() -> Response:
    """The API's description, to read and try."""
    return _file("docs/swagger.html", policy=DOCS_POLICY)


@door.get("/redoc")
def redoc() -> Response:
    """The API's description, to read."""
    return _file("docs/redoc.html", policy=DOCS_POLICY)


@door.get("/openapi.json")
def description() -> dict[str, Any]:
    """The API's description. Source: OpenAPI 3.1."""
    return openapi.spec(current_app)


@door.get("/ping")
@answer(Pong)
def ping() -> dict[str, str]:
    """Tell whether the server answers."""
    return {"msg": "pong"}


@door.get("/health")
@answer(Health)
def show_health() -> dict[str, Any]:
    """Tell how the database, Redis, the workers and the queue are. Always 200; `status` says how it is."""
    return health(current_app.config["SETTINGS"])


def _file(name: str, *, policy: str, cache: str = "no-cache") -> Response:
    response = send_from_directory(STATIC, name)
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cache-Control"] = cache
    return response
