from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from server.agents.manifests import BadManifest, read_package
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


def package(folder: Path, **values: Any) -> Path:
    agent = {"agent_id": "helper", "name": "Helper", "short_description": "Helps.", "graph": "./agent.py:graph"}
    manifest = {"schema": 1, "name": "helper", "version": "1.2.3", "agents": [{**agent, **values.pop("agent", {})}], **values}
    return written(folder, "agent.json", manifest)


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
