"""A LangChain runnable as a graph: it is asked what its input asks for, and its answer becomes a message."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel import Pregel

__all__ = ["around"]


class LastMessage(BaseCallbackHandler):
    """What a chat model said last; its text may be the answer, under the id that it was streamed with."""

    run_inline = True
    message: BaseMessage | None = None

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Take down what was said."""
        said = response.generations[-1][-1] if response.generations and response.generations[-1] else None
        self.message = said.message if isinstance(said, ChatGeneration) else None


def around(runnable: Runnable[Any, Any]) -> Pregel[Any, Any, Any, Any]:
    """A graph of one node around a runnable: it is called with what its input asks for, and its answer becomes a message."""

    async def call(state: MessagesState, config: RunnableConfig) -> dict[str, list[BaseMessage]]:
        last = LastMessage()
        asked = _input_for(runnable, state["messages"])
        output = await runnable.ainvoke(asked, merge_configs(config, {"callbacks": [last]}))
        return {"messages": [_as_message(output, last.message)]}

    graph = StateGraph(MessagesState)
    graph.add_node("call", call)
    graph.add_edge(START, "call")
    graph.add_edge("call", END)
    return graph.compile()


def _input_for(runnable: Runnable[Any, Any], messages: list[Any]) -> Any:
    schema = runnable.get_input_jsonschema()
    names = set(schema.get("properties", {}))
    if "messages" in names:
        return {"messages": messages}
    text = messages[-1].text if messages else ""
    lists = {name for name in names if schema["properties"][name].get("type") == "array"}
    asked = names & {"input", "question", "query", "text", "topic"} or (names - lists if len(names - lists) == 1 else set())
    if asked or len(names) == 1:
        earlier = messages[:-1] if asked else messages
        return {**dict.fromkeys(lists, earlier), **dict.fromkeys(asked, text)}
    return text if schema.get("type") == "string" else messages


def _as_message(output: Any, last: BaseMessage | None) -> BaseMessage:
    """The answer as a message; the model's own where the output is its text, so that it is not streamed a second time."""
    if isinstance(output, BaseMessage):
        return output
    if last is not None and output == str(last.text):
        return last
    return AIMessage(output if isinstance(output, str) else str(output))
