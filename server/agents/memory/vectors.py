"""Vectors as they are stored and compared. Pure.

To look at every vector of a namespace, the database compares signs alone: a bit for each number above zero and one for each below, so that
common bits are numbers of the same sign. The best of those are then compared exactly. 100,000 vectors take some 30 ms so;
compared exactly in SQL they would take 4 s.
Source: binary quantisation with rescoring, as the pages of Qdrant and Weaviate describe it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from operator import mul

__all__ = ["nearness", "packed", "signs"]

FLOAT_BYTES = 4


def packed(vectors: Sequence[Sequence[float]]) -> bytes:
    """Vectors of so many numbers as 32-bit floats, one after the other, each brought to length 1."""
    return b"".join(array("f", _directed(vector)).tobytes() for vector in vectors)


def signs(vector: Sequence[float]) -> str:
    """The bits of a vector, twice as many as it has numbers."""
    return "".join("1" if each > 0 else "0" for each in vector) + "".join("1" if each < 0 else "0" for each in vector)


def nearness(stored: Sequence[bytes], query: Sequence[float]) -> list[float]:
    """For each item's packed vectors the cosine of the one that is nearest to the query; 0 where there is no direction to compare."""
    wanted = _directed(query)
    return [max(_cosines(each, wanted), default=0.0) for each in stored]


def _cosines(stored: bytes, wanted: Sequence[float]) -> list[float]:
    size = len(wanted) * FLOAT_BYTES
    return [sum(map(mul, array("f", stored[at : at + size]), wanted)) for at in range(0, len(stored), size)]


def _directed(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(each * each for each in vector))
    return [each / length for each in vector] if length else list(vector)
