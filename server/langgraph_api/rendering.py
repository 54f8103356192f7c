"""Runs and their events as clients of LangGraph know them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from server.kit.clock import iso
from server.realtime.events import Event
from server.runs.models import Run
from server.runs.programs import CursorUnknown
from server.runs.rules import ENDED

__all__ = [
    "ending_of",
    "event_id",
    "failure",
    "is_last",
    "number_after",
    "run_shown",
    "status_word",
    "statuses",
    "told",
]

# Words for the states of a run: LangGraph's, and the older ones.
WORDS = {"cancelled": "interrupted"}
OLDER_WORDS = {"success": "completed", "error": "failed", "timeout": "failed"}


# -- runs --------------------------------------------------------------------------------------------------------------


def status_word(status: str, words: str) -> str:
    """A run's status in the words that the settings name: `langgraph`, or `aegra` for the older ones."""
    return OLDER_WORDS.get(status, status) if words == "aegra" else WORDS.get(status, status)


def statuses(word: str) -> list[str]:
    """The statuses that a client means by a word of either family; none for a word that is in neither."""
    meant = {"completed": ["success"], "failed": ["error", "timeout"], "interrupted": ["interrupted", "cancelled"]}
    known = ("pending", "running", *ENDED)
    return meant.get(word, [word] if word in known else [])


def run_shown(run: Run, thread_id: str, words: str) -> dict[str, Any]:
    """A run as the dialect shows it; `thread_id` is what the client calls the thread."""
    options = run.options or {}
    failed = run.status in ("error", "timeout")
    return {
        "run_id": run.id,
        "thread_id": thread_id,
        "assistant_id": run.assistant_id,
        "status": status_word(run.status, words),
        "created_at": iso(run.created_at),
        "updated_at": iso(run.updated_at),
        "metadata": run.about,
        "kwargs": _kwargs(run, options),
        "multitask_strategy": options.get("multitask_strategy", "enqueue"),
        "input": run.input,
        "output": run.output,
        "error_message": (run.error or {}).get("message") if failed else None,
        "cancelled_at": iso(run.finished_at) if run.status == "cancelled" and run.finished_at else None,
        "cancel_reason": (run.error or {}).get("code") if run.status == "cancelled" else None,
    }


def _kwargs(run: Run, options: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(options.get("config") or {})
    names = {"run_id": str(run.id), "thread_id": options.get("thread")}
    config["configurable"] = {**config.get("configurable", {}), **names, **(options.get("checkpoint") or {})}
    return {
        "input": run.input,
        "command": options.get("command"),
        "config": config,
        "context": run.context,
        "stream_mode": options.get("modes"),
        "interrupt_before": options.get("interrupt_before"),
        "interrupt_after": options.get("interrupt_after"),
        "webhook": options.get("webhook"),
        "feedback_keys": options.get("feedback_keys"),
        "temporary": options.get("is_fresh", False) and options.get("on_completion") != "keep",
        "subgraphs": options.get("subgraphs"),
        "resumable": options.get("resumable"),
        "checkpoint_during": options.get("durability") != "exit",
        "durability": options.get("durability"),
    }


def ending_of(run: Run) -> Any:
    """What a client that waited for a run gets: the state that it left, with the questions that it asks, or its error."""
    if run.status in ("error", "timeout"):
        return {"__error__": failure(run.error)}
    if run.status == "interrupted" and run.interrupts:
        values = run.output if isinstance(run.output, dict) else {}
        return {**values, "__interrupt__": [interrupt_shown(each) for each in run.interrupts]}
    return run.output


def interrupt_shown(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A question as clients know it."""
    return {"value": asked["value"], "id": asked["id"], "response_schema": asked.get("response_schema")}


def failure(error: Mapping[str, Any] | None) -> dict[str, Any]:
    """Why a run failed: the exception's class, or our code where there was none."""
    known = error or {}
    return {"error": known.get("kind") or known.get("code") or "error", "message": known.get("message") or ""}


# -- events ------------------------------------------------------------------------------------------------------------


def event_id(run_id: uuid.UUID, run_seq: int) -> str:
    """The id of an event in its run's stream; from 0, without gaps."""
    return f"{run_id}_event_{run_seq - 1}"


def number_after(last_event_id: str | None, run: Run) -> int:
    """The number (`run_seq`) of the last event that a client has; 0 for none. Raises CursorUnknown."""
    text = (last_event_id or "").strip()
    if text in ("", "-1"):
        return 0
    name, _, number = text.rpartition("_event_")
    if name != str(run.id) or not number.isascii() or not number.isdigit() or len(number) > 15:
        raise CursorUnknown
    seq = int(number) + 1
    if seq > run.last_event:
        raise CursorUnknown
    return seq


def told(event: Event, words: str) -> tuple[str, bytes] | None:
    """An event of the log as (name, JSON text); None for one that has nothing to tell: the status of a run whose error was told, and
    what a run says in the thread protocol, which has a stream of its own."""
    if event.type.startswith("v3."):
        return None
    if event.type == "error":
        return "error", orjson.dumps(failure(event.load()))
    if event.type != "run":
        return event.type, event.data
    data = event.load()
    if data["status"] == "running":
        return "metadata", orjson.dumps({"run_id": data["run_id"], "attempt": data["attempt"]})
    if data["status"] in ("error", "timeout"):
        return None
    return "end", orjson.dumps({"status": status_word(data["status"], words)})


def is_last(event: Event) -> bool:
    """Whether the stream of its run ends with it."""
    return event.type == "run" and event.load()["status"] in (*ENDED, "interrupted")
