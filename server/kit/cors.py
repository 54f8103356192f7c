"""Who may call from a page of another origin: those that the settings name, or the operator's own rules; nobody else.

Source: the Fetch standard, CORS protocol.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, current_app, request

from server.settings import Settings

__all__ = ["Cors", "install", "is_named"]

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Api-Key"
EXPOSED = "Content-Location, Location, Retry-After, X-Error-Code, X-Pagination-Next, X-Pagination-Total, X-Request-Id"
PREFLIGHT_S = 600
# An origin is a scheme, a host and a port; a longer one is not looked at.
MAX_ORIGIN_CHARS = 300


@dataclass(frozen=True)
class Cors:
    """Which pages of other origins may call, and how. Empty methods or headers: those of this server; exposed ones come on top."""

    origins: tuple[str, ...] = ()
    origin_regex: str | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    with_credentials: bool = False
    max_age_s: int = PREFLIGHT_S

    def lets_in(self, origin: str) -> bool:
        """Whether a page of this origin may call."""
        if len(origin) > MAX_ORIGIN_CHARS:
            return False
        if "*" in self.origins or origin in self.origins:
            return True
        return self.origin_regex is not None and re.fullmatch(self.origin_regex, origin) is not None


Rules = Callable[[], Cors | None]


def install(app: Flask, settings: Settings, also: Rules = lambda: None) -> None:
    """Answer preflights and mark answers for the origins in the settings; `*` lets every origin in (refused off loopback).

    also: rules that hold besides the settings', read at each request.
    """
    own = Cors(tuple(settings.cors_origins)) if settings.cors_origins else None
    app.extensions["cors"] = rules = functools.partial(_rules, own, also)

    def preflight() -> Response | None:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if asks and _rule(rules()) is not None else None

    def mark(response: Response) -> Response:
        known = rules()
        if known:
            response.vary.add("Origin")
        rule = _rule(known)
        return response if rule is None else _marked(response, rule)

    app.before_request(preflight)
    app.after_request(mark)


def is_named(origin: str) -> bool:
    """Whether the rules of this app let an origin in by its very name."""
    rules: Callable[[], tuple[Cors, ...]] = current_app.extensions.get("cors", tuple)
    return any(origin in rule.origins for rule in rules())


def _rules(own: Cors | None, also: Rules) -> tuple[Cors, ...]:
    return tuple(rule for rule in (own, also()) if rule is not None)


def _rule(rules: tuple[Cors, ...]) -> Cors | None:
    """The first rule that lets the request in; None without one, or where the page is of no other origin."""
    origin = request.headers.get("Origin")
    return next((rule for rule in rules if rule.lets_in(origin)), None) if origin else None


def _marked(response: Response, rule: Cors) -> Response:
    marks = {
        "Access-Control-Allow-Origin": request.headers["Origin"],
        "Access-Control-Expose-Headers": ", ".join((EXPOSED, *rule.exposed)),
    }
    if rule.with_credentials:
        marks["Access-Control-Allow-Credentials"] = "true"
    if request.method == "OPTIONS":
        marks["Access-Control-Allow-Methods"] = ", ".join(rule.methods) or METHODS
        marks["Access-Control-Allow-Headers"] = _headers(rule)
        marks["Access-Control-Max-Age"] = str(rule.max_age_s)
    response.headers.update(marks)
    return response


def _headers(rule: Cors) -> str:
    """The headers that a page may send; `*` means those that it asks for, since browsers do not take the star for all of them."""
    if "*" in rule.headers:
        return request.headers.get("Access-Control-Request-Headers", "") or HEADERS
    return ", ".join((HEADERS, *rule.headers))
