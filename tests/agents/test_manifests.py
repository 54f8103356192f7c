from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from server.agents.manifests import BadManifest, read_config, read_package
from server.settings import Settings

BUNDLED = Path(__file__).parents[2] / "server" / "bundled"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an agent's code, and a package beside it."""
    (tmp_path / "agent.py").write_text("raise RuntimeError('never imported')\n")
    (tmp_path / "library" / "src").mkdir(parents=True)
    return tmp_path.resolve()


def written(folder: Path, name: str, values: Any) -> Path:
    path = folder / name
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def config(folder: Path, **values: Any) -> Path:
    return written(folder, "langgraph.json", {"graphs": {"helper": "./agent.py:graph"}, **values})


def package(folder: Path, **values: Any) -> Path:
    agent = {"agent_id": "helper", "name": "Helper", "short_description": "Helps.", "graph": "./agent.py:graph"}
    manifest = {"schema": 1, "name": "helper", "version": "1.2.3", "agents": [{**agent, **values.pop("agent", {})}], **values}
    return written(folder, "agent.json", manifest)


# -- langgraph.json ----------------------------------------------------------------------------------------------------


def test_a_graph_is_an_agent_of_its_name(folder):
    [agent] = read_config(config(folder))
    assert (agent.agent_id, agent.name, agent.source, agent.ready) == ("helper", "helper", "config", True)
    assert agent.graph == f"{folder}/agent.py:graph"
    assert agent.folder == str(folder)


def test_a_graph_may_be_an_object_with_a_description(folder):
    graphs = {"one": {"path": "./agent.py:graph", "description": "The first."}, "two": {"path": "agent.py:other"}}
    first, second = read_config(config(folder, graphs=graphs))
    assert (first.short_description, second.short_description) == ("The first.", "A graph of langgraph.json.")


def test_a_graph_may_name_a_module(folder):
    [agent] = read_config(config(folder, graphs={"helper": "helpers.desk:graph"}))
    assert agent.graph == "helpers.desk:graph"


def test_folders_among_the_dependencies_belong_on_the_path_and_packages_do_not(folder):
    [agent] = read_config(config(folder, dependencies=[".", "./library", "langchain-openai"]))
    assert agent.dependencies == (str(folder), f"{folder}/library", f"{folder}/library/src")


def test_the_environment_may_be_written_in_the_config(folder):
    [agent] = read_config(config(folder, env={"CITY": "Oslo", "LIMIT": 3}))
    assert agent.env == {"CITY": "Oslo", "LIMIT": "3"}


def test_the_environment_may_stand_in_a_file(folder):
    written(folder, ".env", "CITY='Oslo'\n")
    [agent] = read_config(config(folder, env=".env"))
    assert agent.env == {"CITY": "Oslo"}


def test_the_values_of_the_environment_are_not_in_what_is_printed_of_an_agent(folder):
    [agent] = read_config(config(folder, env={"KEY": "sk-secret"}))
    assert "sk-secret" not in repr(agent)


def test_keys_that_this_server_has_no_use_for_are_left_alone(folder):
    assert read_config(config(folder, store={"index": {}}, http={}, python_version="3.12", node_version="20"))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "holds no JSON object"),
        ("{}", "graphs is an object"),
        ({"graphs": {}}, "graphs is an object"),
        ({"graphs": ["./agent.py:graph"]}, "graphs is an object"),
        ({"graphs": {"helper": 1}}, "graph helper is"),
        ({"graphs": {"helper": {"description": "no path"}}}, "graph helper is"),
        ({"graphs": {"helper": {"path": "./agent.py:graph", "description": 1}}}, "description of graph helper"),
        ({"graphs": {"two words": "./agent.py:graph"}}, "is no id of an agent"),
        ({"graphs": {"../up": "./agent.py:graph"}}, "is no id of an agent"),
        ({"graphs": {"x" * 129: "./agent.py:graph"}}, "is no id of an agent"),
        ({"graphs": {"helper": "./agent.py"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": "./agent.py:"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": "./agent.py:not-a-name"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": ":graph"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": "./gone.py:graph"}}, "does not exist"),
        ({"graphs": {"helper": "./agent.ts:graph"}}, "is no Python file"),
        ({"graphs": {"helper": "agent-x:graph"}}, "is no Python file and no module"),
        ({"graphs": {"helper": "agent.py:graph"}, "dependencies": "."}, "dependencies is a list"),
        ({"graphs": {"helper": "agent.py:graph"}, "dependencies": ["./gone"]}, "is no folder"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": ["A"]}, "env is an object"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": {"A": [1]}}, "values of env"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": ".gone"}, "cannot be read"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": "agent.py"}, "line 1 is no NAME=value"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_with_its_name_and_the_reason(folder, values, why):
    path = written(folder, "langgraph.json", values)
    with pytest.raises(BadManifest, match=why) as raised:
        read_config(path)
    assert str(folder) in str(raised.value)


def test_a_config_that_is_not_there_is_refused(folder):
    with pytest.raises(BadManifest, match="cannot be read"):
        read_config(folder / "gone.json")


def test_a_file_too_large_for_a_config_is_refused(folder):
    with pytest.raises(BadManifest, match="is larger than"):
        read_config(written(folder, "langgraph.json", " " * (2**20 + 1)))


# -- agent.json --------------------------------------------------------------------------------------------------------


def test_a_package_names_its_agents_and_what_they_need(folder):
    [agent] = read_package(package(folder, agent={"needs": ["openai_api_key"]}))
    assert (agent.agent_id, agent.name, agent.version, agent.source) == ("helper", "Helper", "1.2.3", "bundled")
    assert agent.needs == ("openai_api_key",)
    assert agent.dependencies == (str(folder),)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"schema": 2}, "schema is 1"),
        ({"version": ""}, "version is a text"),
        ({"agents": []}, "agents is a list"),
        ({"agents": ["helper"]}, "each of agents is an object"),
        ({"agent": {"agent_id": None}}, "is no id of an agent"),
        ({"agent": {"name": 1}}, "name is a text"),
        ({"agent": {"graph": "./gone.py:graph"}}, "does not exist"),
        ({"agent": {"needs": "openai_api_key"}}, "needs is a list"),
    ],
)
def test_a_package_that_cannot_be_used_is_refused_with_the_reason(folder, values, why):
    with pytest.raises(BadManifest, match=why):
        read_package(package(folder, **values))


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*/agent.json")), ids=lambda path: path.parent.name)
def test_what_a_shipped_agent_needs_are_settings(path):
    known = {field.name for field in dataclasses.fields(Settings)}
    assert [name for agent in read_package(path) for name in agent.needs if name not in known] == []
