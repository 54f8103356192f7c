"""Every setting of the server, once: name, default, unit, meaning. The only reader of the environment.

A field `run_timeout_s` is set by the environment variable `RUN_TIMEOUT_S`. The reference page `docs/settings.md` is made from
this table, and `parley doctor` prints it with the values in force.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import secrets
import typing
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings", "UnsafeSettings", "environment", "export", "load", "variable"]

ASYNC_MODES = ("eventlet", "gevent", "threading")
MIN_SECRET_CHARS = 32


class UnsafeSettings(ValueError):
    """The settings are unsafe or do not fit together; the message names each."""


def setting(default: object, doc: str) -> typing.Any:
    """A field of the table: its default and the sentence that documents it."""
    if isinstance(default, (list, tuple)):
        return dataclasses.field(default=tuple(default), metadata={"doc": doc})
    return dataclasses.field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings in force; immutable, made once at the start of a process by `load`."""

    # Where it listens and what it keeps
    host: str = setting("127.0.0.1", "Address that the web server listens on. Anything but loopback needs safe settings.")
    port: int = setting(8000, "Port of the web server.")
    data_dir: Path = setting(Path("data"), "Folder of the embedded servers, the generated secret and the logs.")
    database_url: str = setting("", "PostgreSQL (`postgresql://…`). Empty: an embedded server under `DATA_DIR`.")
    redis_url: str = setting("", "Redis protocol (`redis://…`). Empty: an embedded server under `DATA_DIR`.")
    streaming_backend: str = setting("redis", "`redis`, or `memory` to use the embedded server whatever `REDIS_URL` says.")
    redis_fallback: bool = setting(False, "Set by the start: the embedded server stands in for a `REDIS_URL` that did not answer.")
    agents_config: str = setting("", "Path of a `langgraph.json`. Empty: `langgraph.json` in the working folder, if there is one.")
    secret_key: str = setting("", "Signs tokens and strings. Empty: generated once into `DATA_DIR/secret.json` (mode 0600).")
    debug: bool = setting(False, "Logs everything (`LOG_LEVEL=debug`). Refused unless bound to loopback.")
    log_level: str = setting("info", "`debug`, `info`, `warning` or `error`.")

    # Processes
    async_mode: str = setting("eventlet", "How a web process waits: `eventlet`, `gevent` or `threading`.")
    web_processes: int = setting(1, "Web processes that `parley run` starts on the one port.")
    worker_processes: int = setting(1, "Worker processes that `parley run` starts.")
    worker_runs: int = setting(512, "Runs that one worker process carries at once.")
    enable_workers: bool = setting(True, "`false`: `parley web` starts a worker of its own as a child.")
    database_pool: int = setting(10, "Database connections that a process may hold.")
    drain_s: float = setting(10.0, "How long a stopping process may take to hand its runs and sockets over.")

    # Who may come in
    auth: str = setting("required", "`required`, or `open`: without credentials a request is the first user's (loopback only).")
    registration: str = setting("open", "`open`, or `closed`: only `parley user` makes accounts.")
    cors_origins: tuple[str, ...] = setting((), "Origins, comma-separated, that may call from a browser. Empty: the server's own.")
    trusted_proxies: int = setting(0, "How many proxies in front set `X-Forwarded-For` and `-Proto`.")
    access_token_s: int = setting(3600, "Life of an access token.")
    refresh_token_s: int = setting(30 * 86400, "Life of a refresh token, and so of a sign-in.")
    connection_string_s: int = setting(60, "Time in which a connection string has to be used.")
    message_string_s: int = setting(30, "Time in which a message string has to be used.")
    resume_token_s: int = setting(86400, "Time in which a lost chat socket may come back by its resume token.")
    socket_ticket_s: int = setting(60, "Time in which a WebSocket ticket has to be used.")
    login_tries: int = setting(10, "Failed sign-ins an account (and five times as many an address) has in `LOGIN_WINDOW_S`.")
    login_window_s: int = setting(300, "Window of the sign-in throttle.")

    # Bounds
    max_body_bytes: int = setting(16 * 2**20, "Largest request body.")
    max_document_bytes: int = setting(10 * 2**20, "Largest document of a workspace.")
    max_documents: int = setting(500, "Documents that a workspace may hold.")
    max_message_chars: int = setting(100_000, "Longest chat message.")
    max_output_bytes: int = setting(10 * 2**20, "Largest output of a run; a larger one ends it as an error.")
    message_rate: int = setting(120, "Chat messages a user may send in a minute.")
    max_queued_runs: int = setting(1000, "Runs a user may have waiting or in progress.")
    outbound_private: bool = setting(
        False, "Lets webhooks go to this machine and its network; without it they reach the public internet alone."
    )
    socket_queue: int = setting(1000, "Packets that may wait for a socket; behind them it reads on from the log at its own pace.")

    # Runs
    run_timeout_s: float = setting(3600.0, "Deadline of a run that names none.")
    run_deaths: int = setting(2, "How often the worker may die under a run, alone in it, before the run is an error.")
    lease_s: float = setting(8.0, "A worker whose heartbeat stood still for so long has lost its runs.")
    heartbeat_s: float = setting(1.0, "Time between two heartbeats of a worker.")
    sweep_s: float = setting(1.0, "Time between two sweeps of the scheduler.")
    wake_after_s: float = setting(5.0, "A run that waits for so long is put to the queue again.")
    run_status_words: str = setting(
        "langgraph", "Words for the states of runs: `langgraph`, or `aegra` for the older `completed`, `failed` and `cancelled`."
    )
    interrupt_s: float = setting(30 * 86400.0, "How long a run waits for a human's answer.")
    event_retention_s: int = setting(2 * 86400, "How long the events of an ended run can be replayed.")
    block_s: float = setting(1.0, "An agent that blocks its event loop for so long is moved off it.")
    worker_memory_bytes: int = setting(
        3 * 2**30, "Memory at which a worker process gives up; its runs are tried again, each alone in a process."
    )
    solo_memory_bytes: int = setting(4 * 2**30, "Address space of the process in which a run is tried again alone.")

    # Models
    chat_model: str = setting("", "Model of the shipped assistant, `provider:name`. Empty: the provider whose key is set.")
    openai_api_key: str = setting("", "Key of OpenAI, or of the compatible server at `OPENAI_BASE_URL`.")
    openai_base_url: str = setting("", "Address of an OpenAI-compatible server.")
    anthropic_api_key: str = setting("", "Key of Anthropic (needs the package `langchain-anthropic`).")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the web server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


SECRET_SETTINGS = ("secret_key", "database_url", "redis_url", "openai_api_key", "anthropic_api_key")


def load(environ: typing.Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """The settings from the environment, checked; a missing secret is generated into the data folder.

    overrides: fields by name; they win over the environment (command-line options, tests).
    Raises UnsafeSettings when a value does not parse or is refused.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, typing.Any] = {}
    types = typing.get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        text = environ.get(field.name.upper())
        if text is not None and text.strip():
            values[field.name] = _parse(field.name, text.strip(), types[field.name])
    values.update(overrides)
    settings = Settings(**values)
    settings = dataclasses.replace(
        settings, data_dir=settings.data_dir.expanduser().absolute(), database_url=_driver_url(settings.database_url)
    )
    _refuse_nonsense(settings)
    if not settings.secret_key:
        settings = dataclasses.replace(settings, secret_key=_generated_secret(settings.data_dir))
    _refuse_unsafe(settings)
    return settings


def variable(name: str) -> str | None:
    """A variable of the environment that is no setting of ours: an operator's own file names it."""
    return os.environ.get(name)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child process that is to have these settings; what was generated stays in the data folder."""
    values = dict(os.environ)
    for name in [name for name in values if name in ("PYTHONOPTIMIZE", "PYTHONSTARTUP") or name.startswith("PG")]:
        del values[name]
    for field in dataclasses.fields(Settings):
        value, name = getattr(settings, field.name), field.name.upper()
        if field.name == "secret_key" or (value == field.default and name not in values):
            continue
        values[name] = _written(value)
    # Without the bound each of many threads holds an arena of the allocator.
    return {**values, "MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


def export(settings: Settings) -> None:
    """Make these settings what `load` finds in this process from now on."""
    os.environ.update(environment(settings))


def _written(value: object) -> str:
    """A value as the environment writes it; `_parse` reads it back."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _driver_url(url: str) -> str:
    """A PostgreSQL address with the driver that this server uses."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _parse(name: str, text: str, kind: typing.Any) -> object:
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}[text.lower()]
        if kind in (int, float, Path):
            return kind(text)
    except (KeyError, ValueError):
        raise UnsafeSettings(f"{name.upper()}={text!r} is no {kind.__name__}") from None
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _refuse_nonsense(settings: Settings) -> None:
    choices = {
        "async_mode": ASYNC_MODES,
        "auth": ("required", "open"),
        "registration": ("open", "closed"),
        "streaming_backend": ("redis", "memory"),
        "run_status_words": ("langgraph", "aegra"),
        "log_level": ("debug", "info", "warning", "error"),
    }
    wrong = [
        f"{name.upper()} is one of {', '.join(allowed)}" for name, allowed in choices.items() if getattr(settings, name) not in allowed
    ]
    if not 0 <= settings.port <= 65535:
        wrong.append("PORT is a number from 0 to 65535")
    for name in ("web_processes", "worker_processes", "worker_runs", "database_pool", "run_deaths"):
        if getattr(settings, name) < 1:
            wrong.append(f"{name.upper()} is at least 1")
    if settings.lease_s < 3 * settings.heartbeat_s:
        wrong.append("LEASE_S is at least three times HEARTBEAT_S")
    if wrong:
        raise UnsafeSettings("; ".join(wrong))


def _refuse_unsafe(settings: Settings) -> None:
    unsafe = []
    if len(settings.secret_key) < MIN_SECRET_CHARS:
        unsafe.append(f"SECRET_KEY has fewer than {MIN_SECRET_CHARS} characters")
    if not settings.is_loopback:
        if settings.auth == "open":
            unsafe.append("AUTH=open is for loopback only")
        if settings.debug:
            unsafe.append("DEBUG is for loopback only")
        if "*" in settings.cors_origins:
            unsafe.append("CORS_ORIGINS=* is for loopback only")
        if len(set(settings.secret_key)) < 10:
            unsafe.append("SECRET_KEY can be guessed")
    if unsafe:
        raise UnsafeSettings("; ".join(unsafe))


def _generated_secret(data_dir: Path) -> str:
    """The secret kept in the data folder; made by the first process that asks, once, whoever else asks at the same time."""
    path = data_dir / "secret.json"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = data_dir / f".secret-{os.getpid()}-{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"secret_key": secrets.token_urlsafe(48)}, file)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return str(json.loads(path.read_text())["secret_key"])
