"""What a passage says on a question: which of its sentences, rows and code, and how well they answer it. Pure.

The measures are shares from 0 to 1. What each is worth for the order of the passages is in `ranking`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from server.workspaces.documents.blocks import Kind, markdown_blocks, sentences
from server.workspaces.documents.retrieval import Asked, Meaning
from server.workspaces.documents.words import content_terms, ngrams, terms

__all__ = ["Evidence", "Unit", "evidence"]

WINDOW = 3  # sentences that are read together
ALONE_SHARE = 0.7  # of the coverage, what the best single line covers; the rest is the best window's
HEADING_WORTH = 0.95  # a word of the question that only the heading holds
NAME_WORTH = 0.6
SYNONYM_CREDIT = 0.5
NEAR = 3  # words of which no more than two others stand between
NEAR_BEST = 0.7  # lines that say nearly as much as the best one

_ASKS_FOR_NUMBER = re.compile(
    r"\bhow (many|much|long|large|big|often|fast|quickly|small|old|far|high)\b|\bwhich (port|size|version)\b"
    r"|\bat (most|least)\b|\b(max|min)imum\b|\blimit\b",
    re.I,
)
_NUMBER = re.compile(
    r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|twelve|hundred|thousand|twice|half|an? (second|minute|hour|day|week|month))\b",
    re.I,
)
_LIST_MARK = re.compile(r"^\s*(\d{1,3}[.)]|[-*+])\s")


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a passage that can be quoted. position: in the passage. score: 0 to 1. text: as it is shown, a row with its head."""

    kind: Kind
    text: str
    position: int
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well a passage answers.

    coverage: how much of the question its best lines hold under their heading. reach: how much all of it holds, its document's
    name included. likeness: of the best lines' n-grams. closeness: of neighbours in the question, how many are neighbours here.
    about: how much of its own heading the question names. gives_number: it has a number where one is asked for.
    """

    coverage: float
    reach: float
    likeness: float
    closeness: float
    about: float
    gives_number: bool
    units: tuple[Unit, ...]


def evidence(asked: Asked, *, name: str, heading: str, text: str) -> Evidence:
    """What the passage says on the question."""
    units = list(_units(text))
    found = [frozenset(terms(unit.text)) for unit in units]
    earned = [_credits(asked, unit_terms) for unit_terms in found]
    scored = tuple(Unit(unit.kind, unit.text, unit.position, round(_share(asked, own), 4)) for unit, own in zip(units, earned, strict=True))
    named = [NAME_WORTH * credit for credit in _credits(asked, frozenset(terms(name)))]
    headed = [HEADING_WORTH * credit for credit in _credits(asked, frozenset(terms(heading)))]
    around = _together([named, headed])
    coverage, best = _coverage(asked, around, earned)
    title = heading.rsplit("›", 1)[-1]
    window = " ".join(unit.text for unit in units[best : best + WINDOW])
    return Evidence(
        coverage=round(coverage, 4),
        reach=round(_share(asked, _together([around, *earned])), 4),
        likeness=round(_likeness(asked.text, f"{heading} {window}"), 4),
        closeness=round(_closeness(asked.meanings, terms(f"{text} . {title}")), 4),
        about=round(_about(asked.meanings, content_terms(title)), 4),
        gives_number=bool(_ASKS_FOR_NUMBER.search(asked.text)) and _holds_number(scored),
        units=scored,
    )


def _coverage(asked: Asked, around: list[float], earned: list[list[float]]) -> tuple[float, int]:
    """How much of the question the best lines cover under their heading, and where they begin: an answer stands close together."""
    alone = max((_share(asked, _together([around, own])) for own in earned), default=0.0)
    best = (0.0, 0)
    for start in range(len(earned)):
        share = _share(asked, _together([around, *earned[start : start + WINDOW]]))
        if share > best[0] + 1e-9:
            best = (share, start)
    return ALONE_SHARE * alone + (1 - ALONE_SHARE) * best[0], best[1]


def _credits(asked: Asked, found: frozenset[str]) -> list[float]:
    return [_credit(meaning, found) for meaning in asked.meanings]


def _credit(meaning: Meaning, found: frozenset[str]) -> float:
    if meaning.term in found:
        return 1.0
    return max((max(value, SYNONYM_CREDIT) for form, value in meaning.forms.items() if form in found), default=0.0)


def _together(rows: list[list[float]]) -> list[float]:
    return [max(column) for column in zip(*rows, strict=True)]


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


def _closeness(meanings: Sequence[Meaning], words: list[str]) -> float:
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        places.setdefault(word, []).append(at)
    near = total = 0.0
    for first, second in pairwise(meanings):
        weight = min(first.weight, second.weight)
        total += weight
        if _are_near(_places_of(first, places), _places_of(second, places)):
            near += weight
    return near / total if total else 0.0


def _places_of(meaning: Meaning, places: dict[str, list[int]]) -> list[int]:
    return [at for form in meaning.forms for at in places.get(form, ())]


def _are_near(first: list[int], second: list[int]) -> bool:
    return any(abs(one - other) <= NEAR for one in first for other in second)


def _about(meanings: Sequence[Meaning], title: list[str]) -> float:
    if not title:
        return 0.0
    return sum(any(term in meaning.forms for meaning in meanings) for term in title) / len(title)


def _holds_number(units: Sequence[Unit]) -> bool:
    """Whether one of the lines that say most on the question holds a number."""
    best = max((unit.score for unit in units), default=0.0)
    lines = (unit.text.rsplit("\n", 1)[-1] if unit.kind == "table" else unit.text for unit in units if unit.score >= NEAR_BEST * best)
    return any(_NUMBER.search(_LIST_MARK.sub("", line)) for line in lines)


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
