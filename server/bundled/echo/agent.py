"""Echo: answers with the words that it was sent, one token a word.

The words pass through a chat model, because that is what LangGraph's `messages` stream listens to: what a client sees of this
agent is what it sees of one with a real model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph

MAX_DELAY_S = 5.0  # between two words; a run that waits longer would only be slow


class Parrot(BaseChatModel):
    """A chat model that says the last message again. delay_s: the wait before each word."""

    delay_s: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "parrot"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(messages[-1].text))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in words(messages[-1].text):
            await asyncio.sleep(self.delay_s)
            chunk = ChatGenerationChunk(message=AIMessageChunk(word))
            if run_manager:
                await run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk


def words(text: str) -> list[str]:
    """The text cut after each run of white space; joined, they are the text. An empty text is one empty word."""
    return re.findall(r"\s*\S+\s*|\s+", text) or [""]


async def answer(state: MessagesState, config: RunnableConfig) -> dict[str, list[BaseMessage]]:
    """The last message, said again. `configurable.delay_s` slows each word, to watch it stream."""
    delay_s = config.get("configurable", {}).get("delay_s", 0.0)
    if not isinstance(delay_s, (int, float)) or not 0 <= delay_s <= MAX_DELAY_S:
        raise ValueError(f"delay_s is a number of seconds from 0 to {MAX_DELAY_S:g}")
    return {"messages": [await Parrot(delay_s=delay_s).ainvoke(state["messages"], config)]}


graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile(name="echo")
