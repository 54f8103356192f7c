"""Reading a `langgraph.json`: its graphs, and what the code that it names runs with. Imports none of that code.

    {"graphs": {id: "./file.py:variable" | {"path", "description"}}, "dependencies": [folders], "env": {…} | ".env",
     "store", "checkpointer", "auth", "http", "webhooks"}

Source: https://docs.langchain.com/langsmith/application-structure (the keys of langgraph.json).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from server.agents.config import Config, Section, sections
from server.agents.dotenv import BadLine, parse
from server.agents.manifests import Agent, BadManifest, checked_id, checked_place, contents_of, object_in
from server.settings import Settings, variable

__all__ = ["env_file", "read_config", "refuse_unsafe"]

# An origin that nobody has: a pattern that lets it in lets in everybody.
STRANGER = "https://n2fkd0v3xq.invalid"


def read_config(path: Path) -> Config:
    """A `langgraph.json`. Keys that this server has no use for are left alone. Raises BadManifest."""
    manifest = object_in(path)
    graphs = manifest.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise BadManifest(f"{path}: graphs is an object of at least one graph")
    env = _environment(path, manifest.get("env", {}))
    dependencies = _folders(path, manifest.get("dependencies", []))
    return Config(
        agents=tuple(_agent(path, graph_id, entry, env, dependencies) for graph_id, entry in graphs.items()),
        folder=str(path.parent.resolve()),
        env=env,
        dependencies=dependencies,
        **sections(Section(path, manifest), lambda name: env.get(name) or variable(name)),
    )


def refuse_unsafe(path: Path, config: Config, settings: Settings) -> None:
    """Refuse what lets every page of the web in, as settings that do so are refused. Raises BadManifest."""
    if config.cors is None:
        return
    lets_all_in = "*" in config.cors.origins or re.fullmatch(config.cors.origin_regex or "", STRANGER) is not None
    if lets_all_in and config.cors.with_credentials:
        raise BadManifest(f"{path}: http.cors lets every origin in with credentials; name the origins")
    if lets_all_in and not settings.is_loopback:
        raise BadManifest(f"{path}: http.cors lets every origin in, which is for loopback only")


def _agent(path: Path, graph_id: str, entry: object, env: Mapping[str, str], dependencies: tuple[str, ...]) -> Agent:
    values = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(values, dict) or not isinstance(values.get("path"), str):
        raise BadManifest(f"{path}: graph {graph_id} is './file.py:variable' or an object with such a path")
    description = values.get("description")
    if description is not None and not isinstance(description, str):
        raise BadManifest(f"{path}: the description of graph {graph_id} is a text")
    return Agent(
        agent_id=checked_id(path, graph_id),
        name=graph_id,
        short_description=description or f"A graph of {path.name}.",
        version="",
        graph=checked_place(path, values["path"]),
        folder=str(path.parent.resolve()),
        source="config",
        env=env,
        dependencies=dependencies,
    )


def env_file(path: Path) -> Path | None:
    """The `.env` file that a `langgraph.json` names, if it names one and can be read."""
    try:
        env = object_in(path).get("env")
    except BadManifest:
        return None
    return path.parent / env if isinstance(env, str) and env else None


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
        return parse(contents_of(file).decode("utf-8"))
    except UnicodeDecodeError:
        raise BadManifest(f"{file} is no UTF-8") from None
    except BadLine as error:
        raise BadManifest(f"{file}: {error}") from None
