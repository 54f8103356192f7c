"""Agents that behave as agents do, well and badly; for tests alone. What they shall do is in the message: `key=value` words."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt


def told(messages: list[BaseMessage]) -> dict[str, str]:
    """The `key=value` words of the last message."""
    return dict(word.split("=", 1) for word in messages[-1].text.split() if "=" in word)


class Counting(BaseChatModel):
    """Says `1 2 3 …`, one token each `delay` seconds."""

    n: int = 5
    delay: float = 0.0
    prefix: str = ""

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _words(self) -> list[str]:
        return [f"{self.prefix}{number} " for number in range(1, self.n + 1)]

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(self._words())))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for word in self._words():
            time.sleep(self.delay)
            yield ChatGenerationChunk(message=AIMessageChunk(word))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in self._words():
            await asyncio.sleep(self.delay)
            yield ChatGenerationChunk(message=AIMessageChunk(word))


def of_one_node(node: Any, state: Any = MessagesState) -> Any:
    """A graph of one node."""
    graph = StateGraph(state)
    graph.add_node("answer", node)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


async def _slow(state: MessagesState) -> dict[str, Any]:
    asked = told(state["messages"])
    model = Counting(n=int(asked.get("n", 5)), delay=float(asked.get("delay", 0)))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def _waiting(state: MessagesState) -> dict[str, Any]:
    await asyncio.sleep(float(told(state["messages"]).get("for", 1)))
    return {"messages": [AIMessage("waited")]}


def _sync_waiting(state: MessagesState) -> dict[str, Any]:
    time.sleep(float(told(state["messages"]).get("for", 1)))
    return {"messages": [AIMessage("waited")]}


async def _blocking(state: MessagesState) -> dict[str, Any]:
    time.sleep(float(told(state["messages"]).get("for", 1)))  # noqa: ASYNC251
    return {"messages": [AIMessage("blocked")]}


async def _stubborn(state: MessagesState) -> dict[str, Any]:
    ends_at = time.monotonic() + float(told(state["messages"]).get("for", 20))
    while time.monotonic() < ends_at:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue
    return {"messages": [AIMessage("did not hear")]}


async def _asking(state: MessagesState) -> dict[str, Any]:
    colour = interrupt({"question": "Which colour?", "choices": ["red", "blue"]})
    size = interrupt("Which size?")
    return {"messages": [AIMessage(f"{colour} and {size}")]}


async def _failing(state: MessagesState) -> dict[str, Any]:
    raise ValueError("a secret that no client may read")


async def _dying(state: MessagesState) -> dict[str, Any]:
    await asyncio.sleep(float(told(state["messages"]).get("after", 0.2)))
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


async def _greedy(state: MessagesState) -> dict[str, Any]:
    hoard = []
    for _ in range(60):
        hoard.append(b"x" * 50 * 2**20)
        await asyncio.sleep(0.1)
    return {"messages": [AIMessage(f"{len(hoard)}")]}


async def _huge(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("x" * 20 * 2**20)]}


async def _printing(state: MessagesState) -> dict[str, Any]:
    print("an agent's own words", "on several\nlines", flush=True)
    return {"messages": [AIMessage("printed")]}


async def _exiting(state: MessagesState) -> dict[str, Any]:
    sys.exit("an agent that wants out")


def _sync_exiting(state: MessagesState) -> dict[str, Any]:
    raise SystemExit(1)


async def _cancelling(state: MessagesState) -> dict[str, Any]:
    raise asyncio.CancelledError


async def _asking_oddly(state: MessagesState) -> dict[str, Any]:
    answer = interrupt({"half \ud800 a pair": "\ud800", "a large number": 2**70, "nothing": "\x00"})
    return {"messages": [AIMessage(f"heard {answer}")]}


@dataclass
class Note:
    """A type of the agent's own, which no state declares."""

    text: str


class Noting(MessagesState):
    """A state that says nothing of what it holds."""

    kept: Any


async def _keeping(state: Noting) -> dict[str, Any]:
    kept = state.get("kept")
    if kept is not None:
        return {"messages": [AIMessage(f"{type(kept).__name__} {getattr(kept, 'text', getattr(kept, 'netloc', '?'))}")]}
    foreign = "foreign" in state["messages"][-1].text
    return {"messages": [AIMessage("kept")], "kept": urlsplit("https://example.com") if foreign else Note("mine")}


class Counted(MessagesState):
    """How often each step was carried out, and in which process."""

    trail: list[str]


def _step(name: str) -> Any:
    async def step(state: Counted) -> dict[str, Any]:
        asked = told([m for m in state["messages"] if m.type == "human"])
        model = Counting(n=int(asked.get("n", 5)), delay=float(asked.get("delay", 0)), prefix=name)
        spoken = await model.ainvoke(state["messages"])
        return {"messages": [spoken], "trail": [*state.get("trail", []), f"{name}:{os.getpid()}"]}

    return step


def _steps() -> Any:
    graph = StateGraph(Counted)
    names = ["a", "b", "c"]
    for name in names:
        graph.add_node(name, _step(name))
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile()


def factory(config: RunnableConfig) -> Any:
    """A graph that is made for each run, with the run's config."""
    chat_id = config["configurable"]["chat_id"]
    return of_one_node(lambda state: {"messages": [AIMessage(f"made for {chat_id}")]})


slow = of_one_node(_slow)
waiting = of_one_node(_waiting)
sync_waiting = of_one_node(_sync_waiting)
blocking = of_one_node(_blocking)
stubborn = of_one_node(_stubborn)
asking = of_one_node(_asking)
steps = _steps()
failing = of_one_node(_failing)
dying = of_one_node(_dying)
greedy = of_one_node(_greedy)
huge = of_one_node(_huge)
printing = of_one_node(_printing)
exiting = of_one_node(_exiting)
sync_exiting = of_one_node(_sync_exiting)
cancelling = of_one_node(_cancelling)
asking_oddly = of_one_node(_asking_oddly)
keeping = of_one_node(_keeping, Noting)
runnable = ChatPromptTemplate.from_messages([("human", "{input}")]) | RunnableLambda(lambda prompt: f"heard: {prompt.messages[0].content}")
