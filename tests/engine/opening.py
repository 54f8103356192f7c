"""A graph in a test's own process, where nothing has to be closed after it."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig

from server.engine.graphs import Graph, opened_graph
from server.engine.job import AgentSource

__all__ = ["open_graph"]


async def open_graph(source: AgentSource, config: RunnableConfig, **visit: Any) -> Graph:
    """The graph of an agent."""
    async with opened_graph(source, config, **visit) as graph:
        return graph
