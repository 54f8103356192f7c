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

from typing import Final

__all__ = ["ACTIVE", "ENDED", "MOVES", "may_move"]

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


def may_move(status: str, to: str) -> bool:
    """Whether a run in `status` may become `to`."""
    return to in MOVES[status]
