"""Starting a run the way a program asks for it: one verb for every door that speaks of assistants and threads."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from flask import current_app

from server.agents import assistants
from server.agents.rules import BothGiven
from server.kit.clock import after, new_id
from server.kit.db import commit, db, release, rollback
from server.kit.errors import Conflict, Invalid, Refusal
from server.langgraph_api.webhooks import check_webhook
from server.runs import acceptance
from server.runs.acceptance import Accepted, NothingToResume
from server.runs.doubles import make_way
from server.runs.models import Run
from server.runs.threads import actions as threads
from server.runs.threads.models import Thread, stream_of
from server.settings import Settings

__all__ = ["ENDED", "NothingToResume", "checked", "start_run"]

# The task that follows a run with a webhook.
ENDED = "langgraph.ended"
# What only the server says of a run.
RESERVED = ("thread_id", "run_id", "graph_id", "assistant_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map")

Fields = Mapping[str, Any]
# What LangGraph gives a question for an id.
INTERRUPT_ID = re.compile(r"[0-9a-f]{32}")


class UnknownInterrupt(Conflict):
    """The thread asks no question of that id."""

    code = "unknown_interrupt"


def start_run(
    owner_id: uuid.UUID,
    assistant_id: str,
    payload: Fields,
    thread: Thread | None,
    *,
    run_id: uuid.UUID | None = None,
    auth: Fields | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """A new pending run, committed and on its way to a worker; the earlier one of the same idempotency key, if there is one.

    assistant_id: an assistant's id or a graph's name. payload: the body of LangGraph's `POST …/runs`, validated.
    thread: None makes one that goes with the run. run_id: its id; None makes one.
    auth: what the operator's handlers have said of the caller, for `configurable`.
    Raises AssistantNotFound, ThreadBusy, NothingToResume, QueueFull, Unavailable, Invalid.
    """
    earlier = _earlier(owner_id, idempotency_key)
    if earlier is not None:
        return earlier
    assistant = checked(owner_id, assistant_id, payload, thread)
    settings: Settings = current_app.config["SETTINGS"]
    wanted = _wanted(owner_id, assistant, payload, thread, settings, auth or {})
    wanted = replace(wanted, id=run_id or wanted.id, idempotency_key=idempotency_key)
    strategy = payload.get("multitask_strategy") or "enqueue"
    if thread is not None and strategy != "enqueue":
        release()  # what follows is one transaction
        wanted.options["rolled_back"] = [str(each) for each in make_way(thread.id, strategy)]
    try:
        run = acceptance.accept(wanted, max_queued=settings.max_queued_runs)
    except acceptance.SameKey:
        rollback()
        earlier = _earlier(owner_id, idempotency_key)
        if earlier is None:
            raise threads.ThreadNotFound from None
        return earlier
    commit()
    return run


def _wanted(
    owner_id: uuid.UUID, assistant: assistants.Assistant, payload: Fields, thread: Thread | None, settings: Settings, auth: Fields
) -> Accepted:
    """What is to be accepted: the run, and where."""
    names = {"graph_id": assistant.graph_id, "assistant_id": str(assistant.id)}
    about = {**assistant.about, **(payload.get("metadata") or {}), **names}
    key = thread.id if thread is not None else new_id()
    thread_name = thread.name if thread is not None else str(key)
    options = _options(payload, thread_name, assistant, about, {**names, **auth})
    options["is_fresh"] = thread is None
    delay_s = payload.get("after_seconds") or 0
    kept_s = settings.run_timeout_s + settings.event_retention_s + delay_s
    configured = _configurable(payload)
    return Accepted(
        owner_id=owner_id,
        agent_id=assistant.graph_id,
        thread_key=key,
        thread_name=thread_name,
        is_new_thread=thread is None,
        names=names,
        config={"configurable": configured} if configured and thread is not None else None,
        expires_at=after(kept_s) if payload.get("on_completion") != "keep" else None,
        input=payload.get("input"),
        options=options,
        timeout_s=settings.run_timeout_s,
        is_answer=_is_answer(payload),
        assistant_id=assistant.id,
        stream=stream_of(key) if thread is not None or payload.get("on_completion") == "keep" else None,
        about=about,
        context=_context(payload, assistant),
        available_at=after(delay_s) if delay_s > 0 else None,
        then=ENDED if payload.get("webhook") else None,
    )


def checked(owner_id: uuid.UUID, assistant_id: str, payload: Fields, thread: Thread | None) -> assistants.Assistant:
    """The assistant of a run that makes sense; nothing is changed. Raises as `start_run` does."""
    assistant = assistants.resolve(owner_id, assistant_id)
    _refuse_nonsense(payload, thread)
    return assistant


def _earlier(owner_id: uuid.UUID, key: str | None) -> Run | None:
    if key is None:
        return None
    return db.session.scalars(sa.select(Run).where(Run.owner_id == owner_id, Run.idempotency_key == key)).one_or_none()


def _refuse_nonsense(payload: Fields, thread: Thread | None) -> None:
    command = payload.get("command")
    if command is not None and payload.get("input") is not None:
        raise Invalid("A run has an input or a command, not both.", fields={"command": ["Not together with an input."]})
    config = payload.get("config") or {}
    if payload.get("context") and config.get("configurable"):
        raise BothGiven
    if payload.get("webhook"):
        check_webhook(payload["webhook"])
    if not _is_answer(payload):
        return
    if thread is None:
        raise Refusal("You must provide a thread_id when resuming.")
    if thread.status != "interrupted":
        raise NothingToResume
    if payload.get("strict_resume"):
        _refuse_unknown((command or {})["resume"], [each["id"] for each in thread.interrupts or ()])


def _is_answer(payload: Fields) -> bool:
    """Whether it answers what its thread is asking now; a question of the past, at a checkpoint, can be answered again and again."""
    is_of_now = not payload.get("checkpoint") and not payload.get("checkpoint_id")
    return is_of_now and (payload.get("command") or {}).get("resume") is not None


def _refuse_unknown(answers: Any, asked: Sequence[str]) -> None:
    """Refuse answers to questions that nobody asks; an answer that names no question is for the only one."""
    named = answers if isinstance(answers, Mapping) and answers and all(map(INTERRUPT_ID.fullmatch, answers)) else {}
    if any(name not in asked for name in named):
        raise UnknownInterrupt


def _options(payload: Fields, thread_name: str, assistant: assistants.Assistant, about: Fields, configurable: Fields) -> dict[str, Any]:
    """How the run is to be carried out, as its row keeps it (`engine.job.Options`), and what the dialect shows of it besides."""
    modes = payload.get("stream_mode") or ["values"]
    config = dict(assistant.config)
    config.update({name: each for name, each in (payload.get("config") or {}).items() if name not in ("configurable", "metadata")})
    given = {**assistant.config.get("configurable", {}), **_configurable(payload)}
    config["configurable"] = {**{name: each for name, each in given.items() if name not in RESERVED}, **configurable}
    config["metadata"] = {**assistant.config.get("metadata", {}), **((payload.get("config") or {}).get("metadata") or {}), **about}
    return {
        "thread": thread_name,
        "modes": [modes] if isinstance(modes, str) else list(dict.fromkeys(modes)),
        "protocol": payload.get("protocol", "classic"),
        "subgraphs": bool(payload.get("stream_subgraphs")),
        "config": config,
        "command": payload.get("command"),
        "checkpoint": _checkpoint(payload),
        "interrupt_before": payload.get("interrupt_before"),
        "interrupt_after": payload.get("interrupt_after"),
        "durability": _durability(payload),
        "multitask_strategy": payload.get("multitask_strategy") or "enqueue",
        "webhook": payload.get("webhook"),
        "feedback_keys": payload.get("feedback_keys"),
        "resumable": bool(payload.get("stream_resumable")),
        "on_completion": payload.get("on_completion"),
    }


def _configurable(payload: Fields) -> dict[str, Any]:
    """What an older agent finds in `configurable`: the context too, where that was given."""
    named = (payload.get("config") or {}).get("configurable") or payload.get("context") or {}
    return dict(named) if isinstance(named, Mapping) else {}


def _context(payload: Fields, assistant: assistants.Assistant) -> dict[str, Any]:
    """What a newer agent finds in its runtime's `context`: what was configured too, where no context was given."""
    configured = {**assistant.config.get("configurable", {}), **((payload.get("config") or {}).get("configurable") or {})}
    return {**configured, **(assistant.context or {}), **(payload.get("context") or {})}


def _checkpoint(payload: Fields) -> dict[str, Any] | None:
    """Where to begin, if not at the newest state."""
    named = dict(payload.get("checkpoint") or {})
    if payload.get("checkpoint_id"):
        named["checkpoint_id"] = payload["checkpoint_id"]
    named = {name: named[name] for name in ("checkpoint_id", "checkpoint_ns", "checkpoint_map") if named.get(name)}
    return {"checkpoint_ns": "", **named} if named else None


def _durability(payload: Fields) -> str:
    if payload.get("durability"):
        return str(payload["durability"])
    return "exit" if payload.get("checkpoint_during") is False else "async"
