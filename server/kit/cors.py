"""Who may call from a page of another origin: those that the settings name, nobody else. Source: the Fetch standard, CORS protocol."""

from __future__ import annotations

from flask import Flask, Response, request

from server.settings import Settings

__all__ = ["install"]

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Api-Key"
EXPOSED = "Content-Location, Location, Retry-After, X-Error-Code, X-Pagination-Next, X-Pagination-Total, X-Request-Id"
PREFLIGHT_S = "600"


def install(app: Flask, settings: Settings) -> None:
    """Answer preflights and mark answers for the origins in the settings; `*` lets every origin in (refused off loopback)."""
    if not settings.cors_origins:
        return
    allowed = frozenset(settings.cors_origins)

    def is_allowed() -> bool:
        return "*" in allowed or request.headers.get("Origin") in allowed

    def preflight() -> Response | None:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if asks and is_allowed() else None

    def mark(response: Response) -> Response:
        response.vary.add("Origin")
        if "Origin" in request.headers and is_allowed():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = METHODS
                response.headers["Access-Control-Allow-Headers"] = HEADERS
                response.headers["Access-Control-Max-Age"] = PREFLIGHT_S
        return response

    app.before_request(preflight)
    app.after_request(mark)
