"""Texts to vectors, as `store.index` of the configuration says: by the server's own n-grams here, by any other embedding elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.agents.config import StoreIndex
from server.agents.memory import ngrams
from server.agents.memory.rules import EmbeddingFailed
from server.agents.memory.texts import texts_at
from server.agents.memory.vectors import packed, signs
from server.engine.recall import Find, Purpose, Put
from server.kit import offload
from server.kit.asking import ask

__all__ = ["EMBED", "Embed", "Sense", "Vector", "asked", "made_by", "sense_of_puts", "vectors_of_queries"]

# The question to a worker; the answer is a vector for each text.
EMBED = "memory.embed"
# What embeds texts. Blocks; may call a model.
Embed = Callable[[Sequence[str], Purpose], list[list[float]]]
Vector = list[float]

AT_ONCE = 128  # texts that are given to a model together


@dataclass(frozen=True)
class Sense:
    """What an item is found by."""

    embedding: str
    vectors: bytes
    signs: list[str]

    def columns(self) -> dict[str, Any]:
        """The columns of MemoryItem that hold it."""
        return {"embedding": self.embedding, "vectors": self.vectors, "signs": self.signs}


def asked(texts: Sequence[str], purpose: Purpose) -> list[Vector]:
    """The vectors that a worker makes: a web process opens no model. Blocks; raises Unavailable when none answers."""
    answer: list[Vector] = ask(EMBED, {"texts": list(texts), "purpose": purpose})
    return answer


def made_by(index: StoreIndex) -> str:
    """Who makes the vectors. Those of another maker cannot be compared with them."""
    return f"{index.embed or 'n-grams'}/{index.dims}"


def sense_of_puts(index: StoreIndex | None, puts: Sequence[Put], embed: Embed) -> list[Sense | None]:
    """What each value is to be found by; None where it is not to be, or has no text in these places. Blocks as `embed` does."""
    if index is None:
        return [None] * len(puts)
    texts = [texts_at(put.value, _paths(put, index)) for put in puts]
    vectors = iter(_vectors(index, [text for each in texts for text in each], embed, "item"))
    maker = made_by(index)
    return [_sense(maker, [next(vectors) for _ in each]) if each else None for each in texts]


def vectors_of_queries(index: StoreIndex | None, finds: Sequence[Find], embed: Embed) -> Mapping[str, Vector]:
    """The vector of each query; empty where nothing is searched by meaning."""
    queries = list(dict.fromkeys(find.query for find in finds if find.query))
    if index is None or not queries:
        return {}
    return dict(zip(queries, _vectors(index, queries, embed, "query"), strict=True))


def _paths(put: Put, index: StoreIndex) -> Sequence[str]:
    if put.index is None:
        return index.fields
    return put.index or ()


def _sense(maker: str, vectors: Sequence[Vector]) -> Sense:
    return Sense(maker, packed(vectors), [signs(vector) for vector in vectors])


def _vectors(index: StoreIndex, texts: Sequence[str], embed: Embed, purpose: Purpose) -> list[Vector]:
    if not index.embed:
        return offload.run(ngrams.embedded, texts, index.dims)
    made: list[Vector] = []
    for at in range(0, len(texts), AT_ONCE):
        portion = texts[at : at + AT_ONCE]
        made += _checked(embed(portion, purpose), len(portion), index)
    return made


def _checked(vectors: list[Vector], count: int, index: StoreIndex) -> list[Vector]:
    if len(vectors) != count or any(len(vector) != index.dims for vector in vectors):
        raise EmbeddingFailed(f"The embedding {index.embed} does not make vectors of {index.dims} numbers.")
    if not all(math.isfinite(math.fsum(vector)) for vector in vectors):
        raise EmbeddingFailed(f"The embedding {index.embed} made a vector that is no direction.")
    return vectors
