"""What `parley doctor` looks at: each finding says what is, and where it is not well, what to do."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.kit.embedded import postgres, system, valkey
from server.kit.embedded.attachment import attach
from server.kit.embedded.system import EmbeddedFailed
from server.kit.process import bind
from server.settings import Settings, UnsafeSettings, load

__all__ = ["Finding", "examine"]

OLDEST_PYTHON = (3, 11)
PACKAGES = ("flask", "flask-socketio", "celery", "sqlalchemy", "psycopg", "redis", "langgraph", "langchain")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    is_well: bool
    text: str


def examine(overrides: dict[str, Any]) -> Iterator[Finding]:
    """Look at everything in the order in which a start needs it; what cannot be looked at without the one before is left out."""
    yield _python()
    yield _packages()
    try:
        settings = load(**overrides)
    except UnsafeSettings as error:
        yield Finding("settings", False, f"{error}. See docs/settings.md.")
        return
    yield Finding("settings", True, f"data in {settings.data_dir}, {settings.async_mode}, sign-in {settings.auth}")
    yield _wheels(settings)
    yield _port(settings)
    yield _agents_config(settings)
    try:
        attachment = attach(settings)
    except EmbeddedFailed as error:
        yield Finding("database and redis", False, str(error))
        return
    with attachment:
        yield from _stores(attachment.settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", False, f"{version}; install Python 3.11 or newer and run `make clean run`.")
    return Finding("python", True, f"{version} ({sys.executable})")


def _packages() -> Finding:
    missing = []
    for name in PACKAGES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", False, f"missing: {', '.join(missing)}. Run `make install`.")
    return Finding("packages", True, "installed")


def _wheels(settings: Settings) -> Finding:
    """The embedded servers, where they are needed."""
    try:
        if not settings.database_url:
            postgres.binary("postgres").stat()
        if not settings.redis_url:
            valkey.binary().stat()
    except (EmbeddedFailed, OSError) as error:
        return Finding(
            "embedded servers", False, f"{error} They need Linux with glibc 2.28 or newer, or macOS; or set DATABASE_URL and REDIS_URL."
        )
    return Finding("embedded servers", True, "usable")


def _port(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    try:
        bind(settings.host, settings.port).close()
    except OSError as error:
        running = _running(settings)
        if running.get("url"):
            return Finding("port", True, f"{where} is served by this data folder's own server ({running['url']})")
        return Finding("port", False, f"{where}: {error.strerror}. Stop what listens there, or set another PORT.")
    return Finding("port", True, f"{where} is free")


def _running(settings: Settings) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((settings.data_dir / "run" / "supervisor.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if system.is_alive(int(state["pid"])) else {}


def _agents_config(settings: Settings) -> Finding:
    path = Path(settings.agents_config or "langgraph.json")
    if not path.exists():
        if settings.agents_config:
            return Finding("agents", False, f"AGENTS_CONFIG={path} does not exist.")
        return Finding("agents", True, "no langgraph.json here; the shipped agents alone")
    try:
        graphs = json.loads(path.read_text()).get("graphs", {})
    except (ValueError, AttributeError) as error:
        return Finding("agents", False, f"{path} is no JSON object: {error}")
    return Finding("agents", True, f"{path}: {', '.join(graphs) or 'no graphs'}")


def _stores(settings: Settings) -> Iterator[Finding]:
    import psycopg

    from server.kit import migration

    looks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("redis", lambda: _redis(settings)),
        ("migrations", lambda: _migrations(migration.revision_of(settings.database_url), migration.newest())),
    ]
    for subject, look in looks:
        try:
            is_well, text = look()
        except (OSError, psycopg.Error) as error:
            away = "database" if isinstance(error, psycopg.Error) else subject
            yield Finding(away, False, f"does not answer ({type(error).__name__}). Check its address in the settings and that it runs.")
            continue
        yield Finding(subject, is_well, text)


def _redis(settings: Settings) -> tuple[bool, str]:
    answer = valkey.ping(settings.redis_url)
    if settings.redis_fallback:
        return False, "REDIS_URL does not answer; the embedded server would stand in."
    return answer == "PONG", f"answers {answer}"


def _migrations(found: str | None, newest: str | None) -> tuple[bool, str]:
    if found == newest:
        return True, f"the database is at the newest revision ({found})"
    return True, f"the database is at {found or 'no revision'}; a start (or `parley migrate`) brings it to {newest}"
