"""What a passage says on a question: which of its sentences, rows and code, and how much of the question they cover. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from server.workspaces.documents.blocks import Kind, markdown_blocks, sentences
from server.workspaces.documents.retrieval import Asked, Meaning
from server.workspaces.documents.words import content_terms, ngrams, terms

__all__ = ["Evidence", "Unit", "evidence"]

WINDOW = 3  # sentences that are read together
ALONE_SHARE = 0.7
HEADING_WORTH = 0.85  # a word of the question that only the heading holds
NAME_WORTH = 0.6
SYNONYM_CREDIT = 0.5
CODE_WORTH = 0.7  # a word in code names something; it seldom says something


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a passage that can be quoted. position: in the passage. score: 0 to 1. text: as it is shown, a row with its head."""

    kind: Kind
    text: str
    position: int
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """coverage: how much of the question the passage's best lines cover, 0 to 1. likeness: of their n-grams, 0 to 1."""

    coverage: float
    likeness: float
    units: tuple[Unit, ...]


def evidence(asked: Asked, *, name: str, heading: str, text: str) -> Evidence:
    """What the passage says on the question."""
    units = list(_units(text))
    found = [frozenset(terms(unit.text)) for unit in units]
    around = _credits(asked, frozenset(terms(heading)), HEADING_WORTH)
    around = [max(pair) for pair in zip(around, _credits(asked, frozenset(terms(name)), NAME_WORTH), strict=True)]
    worths = [CODE_WORTH if unit.kind == "code" else 1.0 for unit in units]
    earned = [_credits(asked, unit_terms, worth) for unit_terms, worth in zip(found, worths, strict=True)]
    coverage, best = _best_window(asked, around, earned)
    window = " ".join(unit.text for unit in units[best : best + WINDOW])
    scored = tuple(
        Unit(unit.kind, unit.text, unit.position, round(_share(asked, own), 4)) for unit, own in zip(units, earned, strict=True)
    )
    return Evidence(round(coverage, 4), round(_likeness(asked.text, f"{heading} {window}"), 4), scored)


def _best_window(asked: Asked, around: list[float], earned: list[list[float]]) -> tuple[float, int]:
    """How much of the question the best lines cover under their heading, and where they begin.

    The mean of the best line and the best neighbours: an answer stands close together.
    """
    alone = max((_share(asked, _together([around, own])) for own in earned), default=0.0)
    best = (0.0, 0)
    for start in range(len(earned)):
        share = _share(asked, _together([around, *earned[start : start + WINDOW]]))
        if share > best[0] + 1e-9:
            best = (share, start)
    return ALONE_SHARE * alone + (1 - ALONE_SHARE) * best[0], best[1]


def _together(rows: list[list[float]]) -> list[float]:
    return [max(column) for column in zip(*rows, strict=True)]


def _credits(asked: Asked, found: frozenset[str], worth: float) -> list[float]:
    return [worth * _credit(meaning, found) for meaning in asked.meanings]


def _credit(meaning: Meaning, found: frozenset[str]) -> float:
    if meaning.term in found:
        return 1.0
    return max((max(value, SYNONYM_CREDIT) for form, value in meaning.forms.items() if form in found), default=0.0)


def _share(asked: Asked, earned: list[float]) -> float:
    total = sum(meaning.weight for meaning in asked.meanings)
    if not total:
        return 0.0
    return sum(meaning.weight * credit for meaning, credit in zip(asked.meanings, earned, strict=True)) / total


def _likeness(question: str, text: str) -> float:
    """The cosine of the two texts' hashed n-grams."""
    mine = _profile(content_terms(question))
    other = _profile(terms(text))
    dot = sum(count * other.get(gram, 0) for gram, count in mine.items())
    norms = math.sqrt(sum(c * c for c in mine.values()) * sum(c * c for c in other.values()))
    return dot / norms if norms else 0.0


def _profile(words: list[str]) -> dict[int, float]:
    counts = Counter(gram for word in words for gram in ngrams(word))
    return {gram: 1 + math.log(count) for gram, count in counts.items()}


def _units(text: str) -> Iterator[Unit]:
    position = 0
    for block in markdown_blocks(text):
        if block.kind == "table":
            pieces = _rows(block.text)
        elif block.kind in ("text", "heading"):
            pieces = sentences(block.text)
        else:
            pieces = [block.text]
        for piece in pieces:
            yield Unit("text" if block.kind == "heading" else block.kind, piece, position)
            position += 1


def _rows(table: str) -> list[str]:
    """Each row of a table, under the table's head."""
    lines = table.split("\n")
    head = "\n".join(lines[:2])
    return [f"{head}\n{line}" for line in lines[2:]] or [table]
