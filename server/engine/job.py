"""What the engine is given, what it gives back, and how it speaks while it works. Imports nothing that can fail."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["AgentSource", "Emit", "Job", "Options", "Outcome", "Search"]

# Passages of a workspace's documents: (workspace id, query, limit) to rows with a `score`.
Search = Callable[[str, str, int], list[dict[str, Any]]]


@dataclass(frozen=True)
class AgentSource:
    """Where an agent's code is: `path/to/file.py:variable` (or `module:variable`), and what it needs to be imported."""

    agent_id: str
    graph: str
    folder: str
    env: Mapping[str, str] = field(default_factory=dict)
    dependencies: Sequence[str] = ()


@dataclass(frozen=True)
class Options:
    """How a program wants a run carried out; a run without is a turn of a chat.

    thread: what the program calls the thread; the agent knows it by that name.
    modes: what is streamed: values, updates, messages, messages-tuple, custom, debug, tasks, checkpoints, events.
    protocol: how it is streamed: `classic`, or `v3` for the events of the thread protocol.
    config: LangGraph's config: configurable, metadata, tags, recursion_limit.
    command: {"resume", "update", "goto"} instead of an input.
    checkpoint: {"checkpoint_id", "checkpoint_ns", "checkpoint_map"} to begin from, instead of the newest.
    rolled_back: runs whose checkpoints go before this one begins.
    is_fresh: the thread was made for this run.
    """

    thread: str
    modes: Sequence[str] = ("values",)
    protocol: str = "classic"
    subgraphs: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    command: Mapping[str, Any] | None = None
    checkpoint: Mapping[str, Any] | None = None
    interrupt_before: Sequence[str] | str | None = None
    interrupt_after: Sequence[str] | str | None = None
    durability: str = "async"
    rolled_back: Sequence[str] = ()
    is_fresh: bool = False

    @classmethod
    def stored(cls, options: Mapping[str, Any] | None) -> Options | None:
        """The options as a run's row keeps them; what is not known here is for others."""
        if options is None:
            return None
        return cls(**{name: value for name, value in options.items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Job:
    """One attempt at a run.

    thread_id: names the state that the agent goes on with and leaves; the checkpoints are kept under it.
    input: what the agent is given; anything that JSON knows, for a program's run.
    resume: interrupt id to the human's answer, when the run was asked something; else None and `input` counts.
    is_retry: an earlier attempt may have left checkpoints; go on from the last of this run.
    is_fresh: the thread is the run's own and this its first attempt, so that there is no state yet.
    """

    run_id: uuid.UUID
    attempt: int
    owner_id: uuid.UUID
    agent: AgentSource
    thread_id: str
    input: Any
    resume: dict[str, Any] | None
    context: Mapping[str, Any]
    timeout_s: float
    max_output_bytes: int
    is_retry: bool
    is_fresh: bool
    options: Options | None = None


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. status: success, error, timeout, cancelled or interrupted.

    output: a chat's answer. values: the JSON text of the state that a program's run has left, however it ended; None if it left none.
    last_words: what is to be said with the end and not before, as (kind, JSON text): who hears a question may answer it at once.
    """

    status: str
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    interrupts: list[dict[str, Any]] | None = None
    values: bytes | None = None
    last_words: Sequence[tuple[str, bytes]] = ()


class Emit(Protocol):
    """The agent's voice while it works; may be called from the agent's loop and must not block it."""

    def __call__(self, kind: str, data: dict[str, Any] | bytes) -> None:
        """Say that something happened: `token`, `step`, `values` …; the data as an object or as its JSON text."""

    def resumed(self, kept_message_ids: Sequence[str]) -> None:
        """Say that a later attempt goes on, and which of the messages that were streamed before still count."""

    @property
    def is_full(self) -> bool:
        """Whether the agent should wait before it says more."""
