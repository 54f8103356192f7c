"""What the engine is given, what it gives back, and how it speaks while it works. Imports nothing that can fail."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["AgentSource", "Emit", "Job", "Outcome", "Search"]

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
class Job:
    """One attempt at a run.

    thread_id: names the state that the agent goes on with and leaves; the checkpoints are kept under it.
    resume: interrupt id to the human's answer, when the run was asked something; else None and `input` counts.
    is_retry: an earlier attempt may have left checkpoints; go on from the last of this run.
    is_fresh: the thread is the run's own and this its first attempt, so that there is no state yet.
    """

    run_id: uuid.UUID
    attempt: int
    agent: AgentSource
    thread_id: str
    input: dict[str, Any] | None
    resume: dict[str, Any] | None
    context: Mapping[str, Any]
    timeout_s: float
    max_output_bytes: int
    is_retry: bool
    is_fresh: bool


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. status: success, error, timeout, cancelled or interrupted."""

    status: str
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    interrupts: list[dict[str, Any]] | None = None


class Emit(Protocol):
    """The agent's voice while it works; may be called from the agent's loop and must not block it."""

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        """Say that something happened: `token`, `step`."""

    def resumed(self, kept_message_ids: Sequence[str]) -> None:
        """Say that a later attempt goes on, and which of the messages that were streamed before still count."""

    @property
    def is_full(self) -> bool:
        """Whether the agent should wait before it says more."""
