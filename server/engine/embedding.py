"""Texts to vectors by an embedding of LangChain: a provider's model by name, or what a user's file has.

    openai:text-embedding-3-small      any that `langchain.embeddings.init_embeddings` knows
    /absolute/file.py:variable         a LangChain `Embeddings`, or a function, asynchronous or not, of a list of texts

Source: `store.index.embed` of a `langgraph.json`, https://docs.langchain.com/langsmith/semantic-search
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base.embed import ensure_embeddings

from server.engine.imports import open_object
from server.engine.job import AgentSource
from server.engine.recall import Purpose

__all__ = ["embed"]

PROVIDERS = "langchain.embeddings:init_embeddings"  # makes an embedding of its name


async def embed(source: AgentSource, texts: Sequence[str], purpose: Purpose) -> list[list[float]]:
    """A vector for each text. source.graph: the embedding's name. Raises AgentBroken, and whatever the embedding raises."""
    embedding = await _opened(source)
    if purpose == "query":
        made: list[Any] = [await embedding.aembed_query(text) for text in texts]
    else:
        made = await embedding.aembed_documents(list(texts))
    return [[float(number) for number in vector] for vector in made]


async def _opened(source: AgentSource) -> Embeddings:
    name = source.graph
    if name.rpartition(":")[0].endswith(".py"):
        embedding: Embeddings = await open_object(source, ensure_embeddings)
    else:
        embedding = await open_object(replace(source, agent_id=name, graph=PROVIDERS), lambda make: make(name))
    if not isinstance(embedding, Embeddings):
        raise TypeError(name)
    return embedding
