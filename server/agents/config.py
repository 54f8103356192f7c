"""What a `langgraph.json` says besides its graphs: search, lifetimes, who may come in, what goes out. Typed and checked.

Source: https://docs.langchain.com/langsmith/cli (the configuration file), and the schema of the MIT-licensed `langgraph-cli`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from server.agents.manifests import Agent, BadManifest, checked_place
from server.kit.cors import Cors

__all__ = ["AuthCache", "Config", "Section", "StoreIndex", "StoreTtl", "ThreadTtl", "Webhooks", "sections"]

Variable = Callable[[str], str | None]

DEFAULT_DIMS = 512  # of the server's own vectors of hashed n-grams
MAX_DIMS = 16_000  # what PostgreSQL's vectors can hold
SWEEP_MINUTES = 5.0
SWEEP_LIMIT = 1000  # threads that one sweep ends at most
MAX_URL_CHARS = 2048
TEMPLATE = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class StoreIndex:
    """How the items of the store are searched by meaning.

    embed: "" for the server's own hashed n-grams, `provider:model` of LangChain, or `/absolute/file.py:function`.
    fields: paths of what is embedded of a value, each by itself; `$` is all of it.
    """

    dims: int = DEFAULT_DIMS
    embed: str = ""
    fields: tuple[str, ...] = ("$",)


@dataclass(frozen=True)
class StoreTtl:
    """How long items of the store live that name no time of their own; None: for ever."""

    default_minutes: float | None = None
    refresh_on_read: bool = True
    sweep_minutes: float = SWEEP_MINUTES


@dataclass(frozen=True)
class ThreadTtl:
    """How long threads live that name no time of their own (None: for ever), and what then happens to them."""

    strategy: Literal["delete", "keep_latest"] = "delete"
    default_minutes: float | None = None
    sweep_minutes: float = SWEEP_MINUTES
    sweep_limit: int = SWEEP_LIMIT


@dataclass(frozen=True)
class AuthCache:
    """Whose authentication is remembered: requests that agree in these headers, for `life_s`; at most `size` of them."""

    headers: tuple[str, ...]
    life_s: float = 60.0
    size: int = 1000


@dataclass(frozen=True)
class Webhooks:
    """What is sent with every webhook, and where one may go. Without a list, any public host or port may be called.

    headers: with their `${{ env.NAME }}` filled in.
    domains: hosts, or `*.example.com` for those below one.
    no_loopback: a path of this server itself (`/my/hook`) is no target.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    require_https: bool = False
    domains: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    max_url_chars: int = MAX_URL_CHARS
    no_loopback: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """A `langgraph.json`, as it is in force; one without any key where there is no file.

    folder: where the file is; "" without one.
    auth_path: the `Auth` object, `/absolute/file.py:variable` or `module:variable`; None without handlers.
    env, dependencies: what every code that the file names runs with (see `Agent`).
    """

    agents: tuple[Agent, ...] = ()
    folder: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    dependencies: tuple[str, ...] = ()
    store_index: StoreIndex | None = None
    store_ttl: StoreTtl | None = None
    thread_ttl: ThreadTtl | None = None
    auth_path: str | None = None
    auth_cache: AuthCache | None = None
    cors: Cors | None = None
    webhooks: Webhooks | None = None


class Section:
    """An object in a manifest, read key by key. What is wrong is said with the file and the key's whole name."""

    def __init__(self, path: Path, values: Mapping[str, Any], name: str = "") -> None:
        self.path = path
        self._values = values
        self._name = name

    def refuse(self, key: str, what: str) -> BadManifest:
        """The refusal of a key that ought to be `what`."""
        return BadManifest(f"{self.path}: {self._full(key)} is {what}")

    def has(self, key: str) -> bool:
        """Whether the key says anything."""
        return self._values.get(key) is not None

    def part(self, key: str) -> Section | None:
        """The object under a key; None without it."""
        values = self._values.get(key)
        if values is None:
            return None
        if not isinstance(values, dict):
            raise self.refuse(key, "an object")
        return Section(self.path, values, self._full(key))

    def text(self, key: str) -> str:
        """The text under a key; empty without it."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.refuse(key, "a text")
        return (value or "").strip()

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The truth of a key."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return default if value is None else value

    def number(self, key: str, *, above: float = 0.0, most: float = 2**31) -> float | None:
        """The number under a key, more than `above`; None without it."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not above < value <= most:
            raise self.refuse(key, f"a number above {above:g} and up to {most:g}")
        return float(value)

    def whole(self, key: str, default: int, *, above: int = 0, most: int = 2**31) -> int:
        """The whole number under a key."""
        value = self.number(key, above=above, most=most)
        if value is not None and not value.is_integer():
            raise self.refuse(key, "a whole number")
        return default if value is None else int(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under a key; empty without it."""
        values = self._values.get(key)
        if values is None:
            return ()
        if not isinstance(values, list) or not all(isinstance(each, str) and each.strip() for each in values):
            raise self.refuse(key, "a list of texts")
        return tuple(each.strip() for each in values)

    def pairs(self, key: str) -> dict[str, str]:
        """The object of texts under a key; empty without it."""
        values = self._values.get(key) or {}
        if not isinstance(values, dict) or not all(isinstance(each, str) for each in values.values()):
            raise self.refuse(key, "an object of texts")
        return dict(values)

    def ports(self, key: str) -> tuple[int, ...]:
        """The list of ports under a key; empty without it."""
        values = self._values.get(key) or []
        if not isinstance(values, list) or not all(type(each) is int and 0 < each < 65536 for each in values):
            raise self.refuse(key, "a list of ports")
        return tuple(values)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


def sections(whole: Section, variable: Variable) -> dict[str, Any]:
    """The fields of a Config that are no graphs. variable: what `${{ env.NAME }}` stands for. Raises BadManifest."""
    store, checkpointer = whole.part("store"), whole.part("checkpointer")
    auth, http, webhooks = whole.part("auth"), whole.part("http"), whole.part("webhooks")
    return {
        "store_index": _index(store.part("index")) if store else None,
        "store_ttl": _store_ttl(store.part("ttl")) if store else None,
        "thread_ttl": _thread_ttl(checkpointer.part("ttl")) if checkpointer else None,
        "auth_path": _auth_path(auth) if auth else None,
        "auth_cache": _auth_cache(auth.part("cache")) if auth else None,
        "cors": _cors(http.part("cors")) if http else None,
        "webhooks": _webhooks(webhooks, variable) if webhooks else None,
    }


def _index(index: Section | None) -> StoreIndex | None:
    if index is None:
        return None
    embed = index.text("embed")
    if embed and not index.has("dims"):
        raise index.refuse("dims", "needed, the length of the vectors that `embed` makes")
    if embed.rpartition(":")[0].endswith(".py"):
        embed = checked_place(index.path, embed)
    elif embed and not all(embed.partition(":")):
        raise index.refuse("embed", "'provider:model' or './file.py:function'")
    return StoreIndex(index.whole("dims", DEFAULT_DIMS, most=MAX_DIMS), embed, index.texts("fields") or ("$",))


def _store_ttl(ttl: Section | None) -> StoreTtl | None:
    if ttl is None:
        return None
    sweep = ttl.number("sweep_interval_minutes") or SWEEP_MINUTES
    return StoreTtl(ttl.number("default_ttl"), ttl.flag("refresh_on_read", default=True), sweep)


def _thread_ttl(ttl: Section | None) -> ThreadTtl | None:
    if ttl is None:
        return None
    strategy = ttl.text("strategy") or "delete"
    if strategy not in ("delete", "keep_latest"):
        raise ttl.refuse("strategy", "delete or keep_latest")
    sweep = ttl.number("sweep_interval_minutes") or SWEEP_MINUTES
    limit = ttl.whole("sweep_limit", SWEEP_LIMIT, most=100_000)
    return ThreadTtl("delete" if strategy == "delete" else "keep_latest", ttl.number("default_ttl"), sweep, limit)


def _auth_path(auth: Section) -> str | None:
    place = auth.text("path")
    return checked_place(auth.path, place) if place else None


def _auth_cache(cache: Section | None) -> AuthCache | None:
    headers = cache.texts("cache_keys") if cache else ()
    if cache is None or not headers:
        return None
    life_s = cache.number("ttl_seconds", most=86_400) or 60.0
    return AuthCache(tuple(each.lower() for each in headers), life_s, cache.whole("max_size", 1000, most=100_000))


def _cors(cors: Section | None) -> Cors | None:
    if cors is None:
        return None
    regex = cors.text("allow_origin_regex") or None
    try:
        re.compile(regex or "")
    except (re.error, RecursionError):
        raise cors.refuse("allow_origin_regex", "a regular expression") from None
    return Cors(
        origins=cors.texts("allow_origins"),
        origin_regex=regex,
        methods=tuple(each.upper() for each in cors.texts("allow_methods")),
        headers=cors.texts("allow_headers"),
        exposed=cors.texts("expose_headers"),
        with_credentials=cors.flag("allow_credentials"),
        max_age_s=cors.whole("max_age", 600, above=-1, most=86_400),
    )


def _webhooks(webhooks: Section, variable: Variable) -> Webhooks:
    prefix = webhooks.text("env_prefix") or "LG_WEBHOOK_"
    headers = {name: _filled(webhooks, name, text, prefix, variable) for name, text in webhooks.pairs("headers").items()}
    url = webhooks.part("url")
    if url is None:
        return Webhooks(headers)
    return Webhooks(
        headers,
        require_https=url.flag("require_https"),
        domains=tuple(each.lower() for each in url.texts("allowed_domains")),
        ports=url.ports("allowed_ports"),
        max_url_chars=url.whole("max_url_length", MAX_URL_CHARS, most=65_536),
        no_loopback=url.flag("disable_loopback"),
    )


def _filled(webhooks: Section, name: str, text: str, prefix: str, variable: Variable) -> str:
    """A header's text with its variables, of which only those that begin with the prefix may go out."""
    key = f"headers.{name}"
    if not HEADER.fullmatch(name):
        raise webhooks.refuse(key, "no header's name")

    def value(found: re.Match[str]) -> str:
        known = variable(found[1]) if found[1].startswith(prefix) else None
        if known is None:
            raise webhooks.refuse(key, f"in want of the variable {found[1]} (it has to be set, and begin with {prefix})")
        return known

    filled = TEMPLATE.sub(value, text)
    if not filled.isprintable():
        raise webhooks.refuse(key, "no header's value: it holds a line break or a control character")
    return filled
