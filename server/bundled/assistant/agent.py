"""The assistant: a language model that works with tools until it can answer, and asks a person before a dangerous one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from assistant_model import Choice, chosen, model_of
from assistant_tools import TOOLS, is_dangerous
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, InterruptOnConfig, SummarizationMiddleware
from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest, ModelResponse, PrivateStateAttr
from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import UntrackedValue
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

MODEL_CALLS_PER_RUN = 20  # a loop that has not ended by then will not end
HISTORY_TOKENS = 32_000  # a longer history is summarised,
HISTORY_KEPT_TOKENS = 12_000  # but for so much of its end

CANCELLED = "Cancelled by the user; the tool was not run."
UNREADABLE = "The tool was not run: the answer to the request for approval could not be read. Ask again only if the user wants it."

SYSTEM_PROMPT = Path(__file__).parent / "prompts" / "system.md"

Assistant = CompiledStateGraph[Any, Any, Any, Any]
Ask = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]


async def graph(config: RunnableConfig) -> Assistant:
    """The assistant over the model that the environment names now; the same object as long as that does not change.

    It is built off the event loop, because the packages of a provider take a while to import. Raises NoModel: what to set.
    """
    return await asyncio.to_thread(_built, chosen())


@functools.lru_cache(maxsize=1)
def _built(choice: Choice) -> Assistant:
    return create_agent(
        model_of(choice),
        TOOLS,
        system_prompt=SYSTEM_PROMPT.read_text("utf-8"),
        middleware=[
            StepLimit(),
            CancelledCalls(),
            SummarizationMiddleware(
                model_of(choice, tags=[TAG_NOSTREAM]),
                trigger=("tokens", HISTORY_TOKENS),
                keep=("tokens", HISTORY_KEPT_TOKENS),
                trim_tokens_to_summarize=HISTORY_TOKENS,
            ),
            Approval({tool.name: _ASK for tool in TOOLS if is_dangerous(tool)}),
        ],
        name="assistant",
    )


# The two below work inside the model's own step: a hook of its own would be one more step, and one more checkpoint, for each call.


class StepsState(AgentState[Any]):
    """What StepLimit remembers during a run; never stored, so an approval begins a new count."""

    model_calls: NotRequired[Annotated[int, UntrackedValue, PrivateStateAttr]]


class StepLimit(AgentMiddleware[StepsState, Any]):
    """Ends a run that has asked the model too often, with a sentence that says so."""

    state_schema = StepsState

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Ask) -> ExtendedModelResponse[Any] | AIMessage:
        """The model's answer, counted."""
        calls = request.state.get("model_calls", 0)
        if calls >= MODEL_CALLS_PER_RUN:
            return AIMessage(f"I stopped after {calls} steps without coming to an end. Tell me to go on, or ask for less at once.")
        return ExtendedModelResponse(await handler(request), Command(update={"model_calls": calls + 1}))


class CancelledCalls(AgentMiddleware[AgentState[Any], Any]):
    """Shows the model a result for each tool call that was left open, because a provider refuses a history that has one.

    A run that was cancelled, or that waited for an approval when the next message came, leaves such a call.
    """

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Ask) -> ModelResponse[Any]:
        """The model's answer to the closed history."""
        return await handler(request.override(messages=closed(request.messages)))


def closed(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The messages with a result right after each call that has none."""
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    shown: list[AnyMessage] = []
    for message in messages:
        shown.append(message)
        if isinstance(message, AIMessage):
            open_calls = [call for call in message.tool_calls if call["id"] not in answered]
            shown += [_not_run(call, CANCELLED) for call in open_calls]
    return shown


def _not_run(call: ToolCall, why: str) -> ToolMessage:
    return ToolMessage(why, tool_call_id=call["id"], name=call["name"], status="error")


class Approval(HumanInTheLoopMiddleware[AgentState[Any], Any]):
    """Asks a person before a dangerous tool; an answer that cannot be read is a refusal, so that the run goes on and nothing was done."""

    def after_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """The calls as the person decided."""
        try:
            return super().after_model(state, runtime)
        except (KeyError, TypeError, ValueError):
            return {"messages": _refused(state["messages"], self.interrupt_on)}


def _question(call: ToolCall, state: AgentState[Any], runtime: Runtime[Any]) -> str:
    """What a person is asked before a call."""
    told = ", ".join(f"{name} = {value}" for name, value in call["args"].items())
    return f"May the assistant use {call['name']} with {told}?"


_ASK = InterruptOnConfig(allowed_decisions=["approve", "edit", "reject"], description=_question)


def _refused(messages: Sequence[AnyMessage], guarded: Mapping[str, Any]) -> list[AnyMessage]:
    """A refusal for each guarded call of the last answer."""
    last = next(message for message in reversed(messages) if isinstance(message, AIMessage))
    return [_not_run(call, UNREADABLE) for call in last.tool_calls if call["name"] in guarded]
