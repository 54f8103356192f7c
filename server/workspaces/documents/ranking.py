"""The passages that answer a question best, with what an agent needs to quote, to cite, or to say that none does. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from server.workspaces.documents.evidence import Evidence, evidence
from server.workspaces.documents.retrieval import Asked

__all__ = ["Found", "Hit", "as_value", "rank"]

BM25_SHARE = 0.5  # of the score; the best passage's BM25 counts as 1
COVERAGE_SHARE = 0.4
LIKENESS_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """A passage as it is stored, and where it stands."""

    passage_id: str
    document_id: str
    document: str
    heading: str
    page: int | None
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage with its score, 0 to 1, and what it says on the question."""

    found: Found
    score: float
    evidence: Evidence


def rank(asked: Asked, candidates: Iterable[tuple[Found, float]], limit: int) -> list[Hit]:
    """The best of the candidates, each given with its BM25 score; best first."""
    candidates = list(candidates)
    highest = max((bm25 for _, bm25 in candidates), default=0.0) or 1.0
    hits = [_hit(asked, found, bm25 / highest) for found, bm25 in candidates]
    return sorted(hits, key=lambda hit: -hit.score)[:limit]


def as_value(found: Found, hit: Hit | None = None) -> dict[str, Any]:
    """The passage as an agent gets it: its place, `text`, `coverage`, and `highlights`, its lines in order with a score each."""
    value: dict[str, Any] = {**asdict(found), "coverage": 0.0, "highlights": []}
    if hit is not None:
        value["coverage"] = hit.evidence.coverage
        value["highlights"] = [asdict(unit) for unit in hit.evidence.units]
    return value


def _hit(asked: Asked, found: Found, bm25: float) -> Hit:
    told = evidence(asked, name=found.document, heading=found.heading, text=found.text)
    score = BM25_SHARE * bm25 + COVERAGE_SHARE * told.coverage + LIKENESS_SHARE * told.likeness
    return Hit(found, round(score, 4), told)
