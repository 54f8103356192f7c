"""The agents of this server, known from their manifests alone: the shipped packages and the graphs of a `langgraph.json`.

A change of a manifest is seen within a second. One that cannot be read is logged and the last good one stays in force.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from flask import Flask, current_app

from server.agents.config import Config
from server.agents.langgraph_json import env_file, read_config, refuse_unsafe
from server.agents.manifests import Agent, BadManifest, read_package
from server.settings import Settings

__all__ = ["Agent", "BadManifest", "Catalogue", "Config", "config", "get", "install", "listed", "problems", "reload"]

log = logging.getLogger(__name__)

PACKAGES = Path(__file__).parent.parent / "bundled"
LOOK_EVERY_S = 1.0  # a file may have changed; asking for its time costs some microseconds

Stamp = tuple[tuple[str, int, int], ...]


class Catalogue:
    """The agents of one process, read again when a manifest changed. Safe to use from any thread."""

    def __init__(self, settings: Settings, *, packages: Path = PACKAGES, look_every_s: float = LOOK_EVERY_S) -> None:
        """settings: name the `langgraph.json`, and tell which agents have what they need. packages: folders with an `agent.json`."""
        self._look_every_s = look_every_s
        self._settings = settings
        self._packages = packages
        self._path = _config_path(settings)
        self._config = Config()
        self._lock = threading.Lock()
        self._good: dict[Path, Sequence[Agent]] = {}
        self._agents: dict[str, Agent] = {}
        self._problems: tuple[str, ...] = ()
        self._stamp: Stamp = ()
        self._looked_at = 0.0
        self.reload()

    def get(self, agent_id: str) -> Agent | None:
        """The agent of that id, or None."""
        self._look()
        return self._agents.get(agent_id)

    def listed(self) -> list[Agent]:
        """All agents: a config's first, in its order, then the shipped ones by id."""
        self._look()
        return list(self._agents.values())

    def config(self) -> Config:
        """The `langgraph.json` in force, the last good one; one that says nothing where there is no file."""
        self._look()
        return self._config

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the manifests now, a sentence each; empty when all can be read."""
        self._look()
        return self._problems

    def reload(self) -> None:
        """Read every manifest now, changed or not."""
        with self._lock:
            self._looked_at = time.monotonic()
            self._stamp = self._stamped()
            self._read()

    def _look(self) -> None:
        """Read again what changed, at most once a second; whoever comes while another looks takes what there is."""
        if time.monotonic() - self._looked_at < self._look_every_s or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked_at = time.monotonic()
            stamp = self._stamped()
            if stamp != self._stamp:
                self._stamp = stamp
                self._read()
        finally:
            self._lock.release()

    def _stamped(self) -> Stamp:
        config = [self._path, env_file(self._path)] if self._path else []
        return _stamp([*self._manifests(), *(path for path in config if path)])

    def _manifests(self) -> list[Path]:
        return sorted(self._packages.glob("*/agent.json"))

    def _read(self) -> None:
        problems: list[str] = []
        found: dict[str, Agent] = {}
        if self._path:
            found.update(self._kept(self._path, problems))
        shipped: dict[str, Agent] = {}
        for path in self._manifests():
            for agent_id, agent in self._kept(path, problems).items():
                if agent_id in shipped:
                    problems.append(f"{path}: the agent {agent_id} is in {shipped[agent_id].folder} already")
                shipped.setdefault(agent_id, agent)
        for agent_id in sorted(shipped.keys() - found.keys()):
            found[agent_id] = shipped[agent_id]
        self._agents, self._problems = found, tuple(problems)
        for problem in problems:
            log.error("agents.bad_manifest", extra={"facts": {"problem": problem}})
        log.info("agents.read", extra={"facts": {"agents": len(found), "problems": len(problems)}})

    def _kept(self, path: Path, problems: list[str]) -> dict[str, Agent]:
        """The agents of a manifest; those of its last good version when it cannot be read now."""
        try:
            self._good[path] = self._configured(path) if path == self._path else read_package(path)
        except BadManifest as error:
            problems.append(str(error))
        return {agent.agent_id: _judged(agent, self._settings) for agent in self._good.get(path, ())}

    def _configured(self, path: Path) -> Sequence[Agent]:
        config = read_config(path)
        refuse_unsafe(path, config, self._settings)
        self._config = config
        return config.agents


def _config_path(settings: Settings) -> Path | None:
    """The `langgraph.json` in force: the one that is named, else the one in the working folder."""
    if settings.agents_config:
        return Path(settings.agents_config).resolve()
    default = Path("langgraph.json").resolve()
    return default if default.is_file() else None


def _stamp(paths: Iterable[Path]) -> Stamp:
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _judged(agent: Agent, settings: Settings) -> Agent:
    """The agent with what is known of its readiness under these settings."""
    if not agent.needs or any(getattr(settings, name, "") for name in agent.needs):
        return dataclasses.replace(agent, ready=True, needs_text=None)
    names = [name.upper() for name in agent.needs]
    choice = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return dataclasses.replace(agent, ready=False, needs_text=f"Set {choice} to use this agent.")


# -- the catalogue of the app ------------------------------------------------------------------------------------------


def install(app: Flask, settings: Settings) -> Catalogue:
    """Read the manifests and keep the catalogue with the app; what is wrong with them is in the log and in `problems`."""
    catalogue = Catalogue(settings)
    app.extensions["catalogue"] = catalogue
    return catalogue


def get(agent_id: str) -> Agent | None:
    """The agent of that id, or None. Needs an app context, like all below."""
    return _catalogue().get(agent_id)


def listed() -> list[Agent]:
    """All agents of this server."""
    return _catalogue().listed()


def config() -> Config:
    """The `langgraph.json` in force: the last good one; one that says nothing where there is no file."""
    return _catalogue().config()


def problems() -> tuple[str, ...]:
    """What is wrong with the manifests, a sentence each."""
    return _catalogue().problems()


def reload() -> None:
    """Read every manifest now, in this process."""
    _catalogue().reload()


def _catalogue() -> Catalogue:
    kept = current_app.extensions.get("catalogue")
    return kept if kept is not None else install(current_app, current_app.config["SETTINGS"])
