"""The operator's authentication handlers, asked from a web process: they are user code, and so answer from a worker."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from flask import current_app, request

from server.agents import catalogue
from server.agents.config import AuthCache
from server.kit.asking import ask
from server.kit.errors import Refusal

__all__ = ["Handlers", "TurnedAway", "Verdict", "here"]

# For so long a process goes on what it was told of which handlers there are.
DESCRIBED_S = 1.0
CODES = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "gone",
    413: "too_large",
    422: "invalid",
    429: "rate_limited",
    503: "unavailable",
    504: "timeout",
}

User = dict[str, Any]
Fields = dict[str, Any]


class TurnedAway(Refusal):
    """The operator's handlers do not allow this."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail, code=CODES.get(status, "internal" if status >= 500 else "bad_request"))
        self.status = status


@dataclass(frozen=True)
class Described:
    """Which handlers there are, as of a moment."""

    place: str
    authenticates: bool
    names: frozenset[str]
    asked_at: float

    def has(self, resource: str, action: str) -> bool:
        """Whether a handler wants to be asked about this."""
        return not self.names.isdisjoint((f"{resource}.{action}", f"{resource}.*", f"*.{action}", "*.*"))


@dataclass(frozen=True)
class Verdict:
    """What the handlers allowed. must: metadata that a row has to contain; values: the requests as they left them."""

    user: User
    must: Fields | None
    values: list[Fields]


class Handlers:
    """The handlers of one `langgraph.json`, and who was authenticated by them a short while ago."""

    def __init__(self) -> None:
        self._described: Described | None = None
        self._known: OrderedDict[tuple[str, ...], tuple[float, User]] = OrderedDict()
        self._lock = threading.Lock()

    def describe(self) -> Described:
        """Which handlers there are; asks a worker once in DESCRIBED_S."""
        place = str(catalogue.config().auth_path)
        known = self._described
        if known is None or known.place != place or time.monotonic() - known.asked_at > DESCRIBED_S:
            told = _told(ask("auth.described", {}))
            known = Described(place, told["authenticates"], frozenset(told["handlers"]), time.monotonic())
            self._described = known
        return known

    def check(self, resource: str, action: str, values: list[Fields], path: Fields, body: Any, user: User | None) -> Verdict:
        """Who the request comes from, and what they may. user: who it is, if that is known. Raises TurnedAway, Unavailable."""
        described = self.describe()
        key = self._key()
        user = user or self._recalled(key)
        if user is not None and not described.has(resource, action):
            return Verdict(user, None, values)
        question = {"user": user, "resource": resource, "action": action, "values": values if described.has(resource, action) else []}
        told = _told(ask("auth.check", question if user else {**question, "request": _facts(path, body)}))
        self._keep(key, told["user"])
        return Verdict(told["user"], told["must"], told["values"] or values)

    def _key(self) -> tuple[str, ...] | None:
        """What a request shows of itself in the headers by which the config has users remembered; None if it shows nothing."""
        cache = catalogue.config().auth_cache
        if cache is None:
            return None
        shown = tuple(request.headers.get(name, "") for name in cache.headers)
        return (str(catalogue.config().auth_path), *shown) if any(shown) else None

    def _recalled(self, key: tuple[str, ...] | None) -> User | None:
        if key is None:
            return None
        with self._lock:
            until, user = self._known.get(key, (0.0, {}))
        return user if until > time.monotonic() else None

    def _keep(self, key: tuple[str, ...] | None, user: User) -> None:
        cache: AuthCache | None = catalogue.config().auth_cache
        if key is None or cache is None:
            return
        with self._lock:
            if self._known.get(key, (0.0, {}))[0] <= time.monotonic():
                self._known[key] = (time.monotonic() + cache.life_s, user)
                self._known.move_to_end(key)
            while len(self._known) > cache.size:
                self._known.popitem(last=False)


def here() -> Handlers:
    """The handlers as this process knows them."""
    kept: Handlers = current_app.extensions.setdefault("langgraph_handlers", Handlers())
    return kept


def _facts(path: Fields, body: Any) -> Fields:
    """The request, as an authentication handler may want to see it."""
    return {
        "method": request.method,
        "path": request.path,
        "query_string": request.query_string.decode("utf-8", "replace"),
        "query_params": request.args.to_dict(),
        "path_params": {name: str(value) for name, value in path.items()},
        "headers": [[name, value] for name, value in request.headers.items()],
        "cookies": request.cookies.to_dict(),
        "body": body,
    }


def _told(answer: Any) -> Any:
    refused = answer.get("refused")
    if refused is not None:
        raise TurnedAway(refused["status"], refused["detail"])
    return answer
