"""The page at `/`, the API's own pages, and health."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, request, send_from_directory

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
# The viewers of the API's description come out of libraries: Redoc puts two known styles into its page and works in a blob.
DOCS_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; worker-src blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SWAGGER_POLICY = DOCS_POLICY.format(styles="")
REDOC_POLICY = DOCS_POLICY.format(
    styles=" 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
# Built files carry a hash of their content in their name.
COMPRESSIBLE = (".html", ".js", ".css", ".svg")
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
    return _file("docs/swagger.html", policy=SWAGGER_POLICY)


@door.get("/redoc")
def redoc() -> Response:
    """The API's description, to read."""
    return _file("docs/redoc.html", policy=REDOC_POLICY)


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
    return _compressed(response, name) if name.endswith(COMPRESSIBLE) else response


def _compressed(response: Response, name: str) -> Response:
    """The file gzipped, for a client that takes it so."""
    response.vary.add("Accept-Encoding")
    if response.status_code != 200 or not request.accept_encodings["gzip"] or "Range" in request.headers:
        return response
    path = STATIC / name
    response.direct_passthrough = False
    response.set_data(_gzipped(path, path.stat().st_mtime_ns))
    response.headers["Content-Encoding"] = "gzip"
    return response


@functools.lru_cache(maxsize=64)
def _gzipped(path: Path, changed_ns: int) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)
