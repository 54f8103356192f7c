"""The agents that are measured: nothing in them costs anything, so that what is measured is the server. The same on every server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph


class Speaking(BaseChatModel):
    """A model without a network: so many tokens, as fast as they are taken; it lets others go on after each, as a socket would."""

    tokens: int = 1000

    @property
    def _llm_type(self) -> str:
        return "speaking"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("word " * self.tokens))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(self.tokens):
            await asyncio.sleep(0)
            yield ChatGenerationChunk(message=AIMessageChunk("word "))


async def _echo(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("You said it.", id="answer")]}  # an id that stays, so that a thread's state does not grow


async def _speak(state: MessagesState) -> dict[str, Any]:
    model = Speaking(tokens=int(state["messages"][-1].text))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def _wait(state: MessagesState) -> dict[str, Any]:
    await asyncio.sleep(float(state["messages"][-1].text))
    return {"messages": [AIMessage("Waited.")]}


def _of_one_node(node: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", node)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


echo = _of_one_node(_echo)
speak = _of_one_node(_speak)
wait = _of_one_node(_wait)
