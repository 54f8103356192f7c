"""Long-term memory as a worker has it: for the agents it runs, with embeddings that it makes itself."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask

from server.agents import catalogue
from server.agents.memory import actions
from server.agents.memory.rules import EmbeddingFailed
from server.engine.job import AgentSource
from server.engine.recall import Lifetimes, Op, Purpose
from server.engine.room import Engine

__all__ = ["WorkerMemory"]

log = logging.getLogger(__name__)


class WorkerMemory:
    """The memory of every owner, for the engine: see `engine.recall.Memory`."""

    def __init__(self, app: Flask, engine: Callable[[], Engine]) -> None:
        self._app = app
        self._engine = engine

    def carry_out(self, owner_id: uuid.UUID, ops: Sequence[Op]) -> list[Any]:
        """What each operation gives; blocks. Raises a Refusal."""
        with self._app.app_context():
            return actions.carry_out(owner_id, ops, embed=self.embed)

    def lifetimes(self) -> Lifetimes:
        """What the configuration says of items that do not say it themselves."""
        with self._app.app_context():
            return actions.lifetimes()

    def embed(self, texts: Sequence[str], purpose: Purpose) -> list[list[float]]:
        """The vectors of texts by the embedding of the configuration; needs an app context, and blocks. Raises EmbeddingFailed."""
        config = catalogue.config()
        name = config.store_index.embed if config.store_index else ""
        if not name:
            raise EmbeddingFailed("The configuration names no embedding any more.")
        source = AgentSource("store.index", name, config.folder, config.env, config.dependencies)
        try:
            return self._engine().embed(source, texts, purpose)
        except Exception as error:  # code of the user's or a provider's; what it says stays in the log
            log.warning("memory.embedding_failed", extra={"facts": {"kind": type(error).__name__}}, exc_info=error)
            raise EmbeddingFailed(f"The embedding {_shown(name)} does not answer.") from None


def _shown(name: str) -> str:
    """The name of an embedding without the server's folders."""
    return name.rpartition("/")[2]
