from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from server.agents.catalogue import Catalogue
from server.engine.job import AgentSource
from server.engine.memory import RunStore
from server.settings import Settings
from tests.engine.opening import open_graph

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "agents"
CONFIG = {"configurable": {"thread_id": "t1"}}


@pytest.fixture
def desk(monkeypatch):
    """The example's graph, opened as a worker opens it, with a store that finds nothing."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    agent = Catalogue(Settings(agents_config=str(EXAMPLE / "langgraph.json"))).get("desk")
    assert agent is not None
    source = AgentSource(agent.agent_id, agent.graph, agent.folder, agent.env, agent.dependencies)
    graph = asyncio.run(open_graph(source, {}))
    return graph.copy({"checkpointer": InMemorySaver(), "store": RunStore(lambda *_: [], "w1")})


def test_the_guide_shows_the_example_as_it_is():
    shown = re.findall(r"```\w+\n(.*?)```", (ROOT / "docs" / "agents.md").read_text(), re.DOTALL)
    for name in ("desk.py", "langgraph.json"):
        assert (EXAMPLE / name).read_text() in shown, f"docs/agents.md does not show {name} as it is"


def test_the_tests_that_the_guide_shows_pass():
    ran = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", str(EXAMPLE)]
    done = subprocess.run(ran, cwd=EXAMPLE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_example_runs_in_a_worker_with_the_environment_of_its_config(desk):
    async def conversation():
        asked = await desk.ainvoke({"messages": [("user", "report a hat")]}, CONFIG, context={"workspace_id": "w1"})
        answers = {asked["__interrupt__"][0].id: "yes"}
        return await desk.ainvoke(Command(resume=answers), CONFIG, context={"workspace_id": "w1"})

    assert asyncio.run(conversation())["messages"][-1].text == "Lost property: filed as number 1."


def test_the_example_says_so_when_the_documents_hold_no_answer(desk):
    said = asyncio.run(desk.ainvoke({"messages": [("user", "Where is my hat?")]}, CONFIG, context={"workspace_id": "w1"}))
    assert said["messages"][-1].text == "Nothing is written about that here."
