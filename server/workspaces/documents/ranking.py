"""The passages that answer a question best, with what an agent needs to quote, to cite, or to say that none does. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from server.workspaces.documents.evidence import Evidence, evidence
from server.workspaces.documents.retrieval import Asked

__all__ = ["Found", "Hit", "as_value", "rank"]

# What each measure of a passage is worth; together 1. BM25 counts as a share of the best passage's.
# Fitted to practice questions over several sets of pages, none of them those of the evaluation, and rounded.
SHARES = {"bm25": 0.34, "coverage": 0.14, "reach": 0.08, "likeness": 0.12, "closeness": 0.17, "about": 0.07, "gives_number": 0.08}


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
    score = sum(share * (bm25 if measure == "bm25" else getattr(told, measure)) for measure, share in SHARES.items())
    return Hit(found, round(score, 4), told)
