"""What an agent is, and reading it from the `agent.json` of a shipped package. Imports no agent code.

    {"schema": 1, "name", "version", "agents": [{"agent_id", "name", "short_description", "graph", "needs"}]}

What a user's `langgraph.json` shares with it is here too: how a manifest is opened, an id, the place of a graph.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Agent", "BadManifest", "checked_id", "checked_place", "contents_of", "object_in", "read_package"]

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
    manifest = object_in(path)
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
        agent_id=checked_id(path, entry.get("agent_id")),
        name=_text(path, entry, "name"),
        short_description=_text(path, entry, "short_description"),
        version=version,
        graph=checked_place(path, _text(path, entry, "graph")),
        folder=str(path.parent.resolve()),
        source="bundled",
        needs=tuple(needs),
        dependencies=(str(path.parent.resolve()),),
    )


def object_in(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises BadManifest."""
    try:
        values = json.loads(contents_of(path))
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"{path} is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadManifest(f"{path} holds no JSON object")
    return values


def contents_of(path: Path) -> bytes:
    """What stands in a file, as far as it may be a manifest's. Raises BadManifest."""
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


def checked_id(path: Path, agent_id: object) -> str:
    """The id of an agent, if it is one. Raises BadManifest."""
    if not isinstance(agent_id, str) or not AGENT_ID.fullmatch(agent_id):
        raise BadManifest(f"{path}: {agent_id!r} is no id of an agent (letters, digits, '.', '_' and '-', at most 128)")
    return agent_id


def checked_place(path: Path, reference: str) -> str:
    """The reference with its file made absolute. A module is looked for where the agent runs, not here. Raises BadManifest."""
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
