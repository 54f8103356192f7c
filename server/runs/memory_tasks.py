"""Answers to questions about meaning: a web process opens no embedding."""

from __future__ import annotations

from typing import Any

from server.agents.memory.meaning import EMBED
from server.kit.asking import answering
from server.runs.tasks import host

__all__ = ["embed"]


@answering(EMBED)
def embed(question: dict[str, Any]) -> list[list[float]]:
    """A vector for each text. Raises Unavailable."""
    return host().memory.embed(question["texts"], question["purpose"])
