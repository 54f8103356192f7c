"""Reading the manifests that name agents: `agent.json` of a shipped package, `langgraph.json` of a user. Imports no agent code.

    agent.json      {"schema": 1, "name", "version", "agents": [{"agent_id", "name", "short_description", "graph", "needs"}]}
    langgraph.json  {"graphs": {id: "./file.py:variable" | {"path", "description"}}, "dependencies": [folders], "env": {…} | ".env"}

Source: https://docs.langchain.com/langsmith/application-structure (the keys of langgraph.json).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from server.agents.dotenv import BadLine, parse

__all__ = ["Agent", "BadManifest", "env_file", "read_config", "read_package"]

Source = Literal["bundled", "config"]

SCHEMA = 1
AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAX_BYTES = 2**20  # of a manifest; a larger one is something else


class BadManifest(ValueError):
    """A manifest that cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An agent of this server, known without its code.

    graph: `/absolute/file.py:variable` or `module:variable`.
    folder: where its manifest is, absolute.
    needs: settings of which one at least has to be set; empty when it needs none.
    needs_text: what is missing, as a sentence; None when it is ready.
    env: variables for the process that runs it.
    dependencies: absolute folders that belong on `sys.path` where it runs.
    """

    agent_id: str
    name: str
    short_description: str
    version: str
    graph: str
    folder: str
    source: Source
    needs: tuple[str, ...] = ()
    ready: bool = True
    needs_text: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    dependencies: tuple[str, ...] = ()


def read_package(path: Path) -> list[Agent]:
    """The agents of an `agent.json`. Raises BadManifest."""
    manifest = _object(path)
    if manifest.get("schema") != SCHEMA:
        raise BadManifest(f"{path}: schema is {SCHEMA}")
    entries = manifest.get("agents")
    if not isinstance(entries, list) or not entries:
        raise BadManifest(f"{path}: agents is a list of at least one agent")
    version = _text(path, manifest, "version")
    return [_packaged(path, entry, version) for entry in entries]


def _packaged(path: Path, entry: object, version: str) -> Agent:
    if not isinstance(entry, dict):
        raise BadManifest(f"{path}: each of agents is an object")
    needs = entry.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(name, str) for name in needs):
        raise BadManifest(f"{path}: needs is a list of settings")
    return Agent(
        agent_id=_checked_id(path, entry.get("agent_id")),
        name=_text(path, entry, "name"),
        short_description=_text(path, entry, "short_description"),
        version=version,
        graph=_checked_graph(path, _text(path, entry, "graph")),
        folder=str(path.parent.resolve()),
        source="bundled",
        needs=tuple(needs),
        dependencies=(str(path.parent.resolve()),),
    )


def read_config(path: Path) -> list[Agent]:
    """The agents of a `langgraph.json`, in its order. Keys that this server has no use for are left alone. Raises BadManifest."""
    manifest = _object(path)
    graphs = manifest.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise BadManifest(f"{path}: graphs is an object of at least one graph")
    env = _environment(path, manifest.get("env", {}))
    dependencies = _folders(path, manifest.get("dependencies", []))
    return [_configured(path, graph_id, entry, env, dependencies) for graph_id, entry in graphs.items()]


def _configured(path: Path, graph_id: str, entry: object, env: Mapping[str, str], dependencies: tuple[str, ...]) -> Agent:
    values = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(values, dict) or not isinstance(values.get("path"), str):
        raise BadManifest(f"{path}: graph {graph_id} is './file.py:variable' or an object with such a path")
    description = values.get("description")
    if description is not None and not isinstance(description, str):
        raise BadManifest(f"{path}: the description of graph {graph_id} is a text")
    return Agent(
        agent_id=_checked_id(path, graph_id),
        name=graph_id,
        short_description=description or f"A graph of {path.name}.",
        version="",
        graph=_checked_graph(path, values["path"]),
        folder=str(path.parent.resolve()),
        source="config",
        env=env,
        dependencies=dependencies,
    )


def env_file(path: Path) -> Path | None:
    """The `.env` file that a `langgraph.json` names, if it names one and can be read."""
    try:
        env = _object(path).get("env")
    except BadManifest:
        return None
    return path.parent / env if isinstance(env, str) and env else None


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises BadManifest."""
    try:
        values = json.loads(_contents(path))
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"{path} is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadManifest(f"{path} holds no JSON object")
    return values


def _contents(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            contents = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadManifest(f"{path} cannot be read: {error.strerror}") from None
    if len(contents) > MAX_BYTES:
        raise BadManifest(f"{path} is larger than {MAX_BYTES} bytes")
    return contents


def _text(path: Path, values: dict[str, Any], name: str) -> str:
    text = values.get(name)
    if not isinstance(text, str) or not text.strip():
        raise BadManifest(f"{path}: {name} is a text")
    return text.strip()


def _checked_id(path: Path, agent_id: object) -> str:
    if not isinstance(agent_id, str) or not AGENT_ID.fullmatch(agent_id):
        raise BadManifest(f"{path}: {agent_id!r} is no id of an agent (letters, digits, '.', '_' and '-', at most 128)")
    return agent_id


def _checked_graph(path: Path, reference: str) -> str:
    """The reference with its file made absolute. A module is looked for where the agent runs, not here."""
    place, colon, variable = reference.rpartition(":")
    if not colon or not place or not variable.isidentifier():
        raise BadManifest(f"{path}: {reference!r} is no 'file.py:variable' and no 'module:variable'")
    if "/" not in place and not place.endswith(".py"):
        if not all(part.isidentifier() for part in place.split(".")):
            raise BadManifest(f"{path}: {place!r} is no Python file and no module")
        return reference
    file = (path.parent / place).resolve()
    if file.suffix != ".py":
        raise BadManifest(f"{path}: {place!r} is no Python file")
    if not file.is_file():
        raise BadManifest(f"{path}: {place!r} does not exist")
    return f"{file}:{variable}"


def _folders(path: Path, dependencies: object) -> tuple[str, ...]:
    """The folder of the config and those it names (and their `src`); names of packages are for pip, not for us."""
    if not isinstance(dependencies, list) or not all(isinstance(name, str) for name in dependencies):
        raise BadManifest(f"{path}: dependencies is a list of folders and packages")
    folders = [path.parent.resolve()]
    for name in dependencies:
        if not name.startswith((".", "/")):
            continue
        folder = (path.parent / name).resolve()
        if not folder.is_dir():
            raise BadManifest(f"{path}: the dependency {name!r} is no folder")
        folders += [folder, *([folder / "src"] if (folder / "src").is_dir() else [])]
    return tuple(dict.fromkeys(map(str, folders)))


def _environment(path: Path, env: object) -> dict[str, str]:
    """The variables of `env`: written in the config, or in the file it names."""
    if isinstance(env, dict):
        if not all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in env.values()):
            raise BadManifest(f"{path}: the values of env are texts")
        return {name: str(value) for name, value in env.items()}
    if not isinstance(env, str):
        raise BadManifest(f"{path}: env is an object or the path of a .env file")
    if not env:
        return {}
    file = path.parent / env
    try:
        return parse(_contents(file).decode("utf-8"))
    except UnicodeDecodeError:
        raise BadManifest(f"{file} is no UTF-8") from None
    except BadLine as error:
        raise BadManifest(f"{file}: {error}") from None
