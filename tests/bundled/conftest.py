"""The shipped agents as a worker has them: their folders on the path, a model that is scripted, a thread to talk in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph.types import Command, Interrupt

from server.agents.catalogue import Catalogue
from server.engine.job import AgentSource
from server.engine.memory import RunStore
from server.settings import Settings
from tests.engine.opening import open_graph
from tests.scripted_model import ScriptedModel

BUNDLED = Path(__file__).parents[2] / "server" / "bundled"
MODEL_VARIABLES = ("CHAT_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY")

sys.path.append(str(BUNDLED / "assistant"))

PASSAGE = {"text": "Support answers on weekdays.", "document": "support.md", "heading": "Hours", "page": 2}


class Conversation:
    """A thread with an agent: what was streamed since it was made, and what the agent asks."""

    def __init__(self, runner: asyncio.Runner, graph: Pregel[Any, Any, Any, Any], store: BaseStore) -> None:
        self.tokens: list[str] = []
        self.steps: list[str] = []
        self.questions: tuple[Interrupt, ...] = ()
        self.messages: list[BaseMessage] = []
        self.context: dict[str, Any] = {"workspace_id": "w1"}
        self.configurable: dict[str, Any] = {"thread_id": "t1"}
        self._runner = runner
        self._graph = graph.copy({"checkpointer": InMemorySaver(), "store": store})

    def say(self, text: str) -> str:
        """Send a message; the agent's last words."""
        return self._runner.run(self._follow({"messages": [{"role": "user", "content": text}]}))

    def decide(self, answer: Any) -> str:
        """Answer the one question that is open; the agent's last words."""
        return self._runner.run(self._follow(Command(resume={self.questions[0].id: answer})))

    async def _follow(self, beginning: Any) -> str:
        config = {"configurable": self.configurable, "recursion_limit": 100}
        streamed = self._graph.astream(beginning, config, context=self.context, stream_mode=["messages", "updates"])
        async for mode, part in streamed:
            if mode == "updates":
                self.steps += part
            elif part[0].text and part[0].type in ("ai", "AIMessageChunk"):
                self.tokens.append(part[0].text)
        state = await self._graph.aget_state(config)
        self.messages, self.questions = state.values["messages"], state.interrupts
        last = self.messages[-1]
        return last.text if isinstance(last, AIMessage) else ""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop of the test."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture
def open_agent(runner: asyncio.Runner) -> Callable[[str], Pregel[Any, Any, Any, Any]]:
    """Opens a shipped agent by its id, as a worker does."""
    catalogue = Catalogue(Settings())

    def opened(agent_id: str) -> Pregel[Any, Any, Any, Any]:
        agent = catalogue.get(agent_id)
        assert agent is not None
        source = AgentSource(agent.agent_id, agent.graph, agent.folder, agent.env, agent.dependencies)
        return runner.run(open_graph(source, {}))

    return opened


@pytest.fixture
def talk_to(runner: asyncio.Runner, open_agent: Callable[[str], Any]) -> Callable[[str], Conversation]:
    """Begins a conversation with a shipped agent, in a workspace `w1` that holds one document."""

    def search(workspace_id: str, query: str, limit: int) -> list[dict[str, Any]]:
        return [{**PASSAGE, "coverage": 0.0 if query == "nonsense" else 0.8}] if workspace_id == "w1" else []

    return lambda agent_id: Conversation(runner, open_agent(agent_id), RunStore(search, "w1"))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no language model."""
    for name in MODEL_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(no_model: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedModel]:
    """A scripted language model, and an environment that names it by its address alone."""
    with ScriptedModel() as scripted:
        monkeypatch.setenv("OPENAI_BASE_URL", scripted.base_url)
        yield scripted


@pytest.fixture
def assistant(model: ScriptedModel, talk_to: Callable[[str], Conversation]) -> Conversation:
    """A conversation with the assistant over the scripted model."""
    return talk_to("assistant")
