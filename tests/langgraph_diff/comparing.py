"""Two answers set side by side: where they differ, and whether a listed difference explains it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import Any

ABSENT = "<absent>"


@dataclass(frozen=True)
class Difference:
    """A part of an answer that is not the same on both sides, and why.

    Patterns are those of `fnmatch`, but that a bracket stands for itself: `body[*].id` is the id of each row.
    place: where in the answer, `body.metadata.run_id`, `body[*].event`, `headers.location`, `status`.
    """

    why: str
    place: str
    scenario: str = "*"
    step: str = "*"
    theirs: str = "*"
    ours: str = "*"

    def explains(self, found: Found) -> bool:
        """Whether this says why that is so."""
        pairs = (
            (found.scenario, self.scenario),
            (found.step, self.step),
            (found.place, self.place),
            (str(found.theirs), self.theirs),
            (str(found.ours), self.ours),
        )
        return all(fnmatchcase(text, pattern.replace("[", "[[]")) for text, pattern in pairs)


@dataclass(frozen=True)
class Found:
    """A part that the two answers to a step do not share."""

    scenario: str
    step: str
    place: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.scenario} / {self.step} / {self.place}: theirs {self.theirs!r}, ours {self.ours!r}"


def compared(scenario: str, theirs: dict[str, Any], ours: dict[str, Any]) -> list[Found]:
    """Each place in which two servers' answers in a scenario differ; of two statuses that differ, nothing more than that."""
    found = []
    for step in dict.fromkeys((*theirs, *ours)):
        one, other = theirs.get(step, {}), ours.get(step, {})
        if one.get("status") != other.get("status"):
            one, other = {"status": one.get("status")}, {"status": other.get("status")}
        found += [Found(scenario, step, *each) for each in _unlike("", one, other)]
    return found


def _unlike(place: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            yield from _unlike(f"{place}.{key}".removeprefix("."), one.get(key, ABSENT), other.get(key, ABSENT))
    elif isinstance(one, list) and isinstance(other, list):
        for number, (left, right) in enumerate(zip_longest(one, other, fillvalue=ABSENT)):
            yield from _unlike(f"{place}[{number}]", left, right)
    elif one != other:
        yield place, one, other
