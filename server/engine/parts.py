"""From LangGraph's stream parts to events, and from an agent's state to its answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from langchain_core.load.dump import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage

__all__ = ["MODES", "answer_in", "events_of", "interrupts_in", "kept_message_ids", "message_id"]

# What the engine asks LangGraph for.
MODES = ("messages", "tasks", "updates", "values")

# A longer piece of text is said in pieces, so that no event is large.
MAX_DELTA_CHARS = 16_000

# Nodes that LangGraph adds and nobody wants to hear of.
SILENT_NODES = ("__start__", "__end__", "__interrupt__")


def message_id(run_id: uuid.UUID, name: str | None) -> str:
    """The id under which a message of a run is streamed and stored; the same for the same LangChain message."""
    return str(uuid.uuid5(run_id, name or ""))


def events_of(run_id: uuid.UUID, agent_id: str, mode: str, part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events that a part of the stream stands for: tokens of the agent's messages, beginnings and ends of steps."""
    if mode == "messages":
        message, _ = part
        text = clean(message.text) if isinstance(message, (AIMessage, AIMessageChunk)) else ""
        for start in range(0, len(text), MAX_DELTA_CHARS):
            spoken = {"message_id": message_id(run_id, message.id), "delta": text[start : start + MAX_DELTA_CHARS]}
            yield "token", {"run_id": str(run_id), "agent_id": agent_id, **spoken}
    elif mode == "tasks" and part["name"] not in SILENT_NODES:
        phase = "end" if "result" in part else "start"
        yield "step", {"run_id": str(run_id), "agent_id": agent_id, "name": part["name"], "phase": phase}


def interrupts_in(update: Any) -> list[dict[str, Any]]:
    """The questions in an `updates` part, as `{"id", "value"}`; an interrupt before or after a node has neither and asks nothing."""
    if not isinstance(update, Mapping) or "__interrupt__" not in update:
        return []
    return [{"id": each.id, "value": jsonable(each.value)} for each in update["__interrupt__"]]


def answer_in(run_id: uuid.UUID, values: Any) -> dict[str, Any]:
    """What the agent said last, as `{"message_id", "content"}`; `values` is the state at the end of a graph.

    A graph without messages answers with its `output` or `answer`, else with its whole state.
    """
    messages = values.get("messages") if isinstance(values, Mapping) else None
    if messages is not None:
        return _last_words(run_id, messages)
    if isinstance(values, Mapping):
        values = next((values[name] for name in ("output", "answer", "result") if name in values), values)
    return {"message_id": message_id(run_id, None), "content": clean(_text(values))}


def _last_words(run_id: uuid.UUID, messages: Sequence[Any]) -> dict[str, Any]:
    """The newest message of the agent that comes after the newest one of the human."""
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            return {"message_id": message_id(run_id, message.id), "content": clean(message.text)}
        if isinstance(message, HumanMessage):
            break
    return {"message_id": message_id(run_id, None), "content": ""}


def kept_message_ids(run_id: uuid.UUID, values: Any) -> list[str]:
    """The ids of the messages that a checkpoint holds already."""
    messages: Sequence[Any] = values.get("messages", ()) if isinstance(values, Mapping) else ()
    return [message_id(run_id, message.id) for message in messages if isinstance(message, BaseMessage)]


def clean(text: str) -> str:
    """Text without what a database or JSON cannot hold: NUL characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def jsonable(value: Any) -> Any:
    """A value as JSON takes it; LangChain's own objects in their serialised form."""
    if isinstance(value, BaseMessage):
        return dumpd(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [jsonable(each) for each in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(jsonable(value), option=orjson.OPT_INDENT_2).decode()
