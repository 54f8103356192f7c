"""The states of a run, and why each move exists.

pending ──▶ running       a worker claimed it
pending ──▶ cancelled     nobody had begun
pending ──▶ error         its worker died too often, or its agent is gone
running ──▶ success, error, timeout, cancelled   it ended; the holder of the lease says how
running ──▶ interrupted   it asks a human something
running ──▶ pending       its worker died, or hands it over while it stops
interrupted ──▶ pending   the human answered
interrupted ──▶ cancelled, timeout               nobody wants the answer any more, or nobody gave it
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ACTIVE", "ENDED", "MOVES", "answers", "asked", "may_move"]

MOVES: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"running", "cancelled", "error"}),
    "running": frozenset({"success", "error", "timeout", "cancelled", "interrupted", "pending"}),
    "interrupted": frozenset({"pending", "cancelled", "timeout"}),
    "success": frozenset(),
    "error": frozenset(),
    "timeout": frozenset(),
    "cancelled": frozenset(),
}
ENDED: Final = frozenset(status for status, following in MOVES.items() if not following)
ACTIVE: Final = frozenset(MOVES) - ENDED


def asked(interrupts: list[dict[str, Any]] | None, attempt: int) -> list[dict[str, Any]] | None:
    """The questions of an attempt under ids of their own: a node that asks twice asks under one id both times, and an answer to the
    first question must not be taken for one to the second."""
    return interrupts and [{**each, "id": f"{each['id']}.{attempt}"} for each in interrupts]


def answers(command: dict[str, Any] | None) -> dict[str, Any] | None:
    """A human's answers by the agent's own ids of its questions; None when there are none."""
    given: dict[str, Any] | None = (command or {}).get("resume")
    return given and {name.rpartition(".")[0]: value for name, value in given.items()}


def may_move(status: str, to: str) -> bool:
    """Whether a run in `status` may become `to`."""
    return to in MOVES[status]
