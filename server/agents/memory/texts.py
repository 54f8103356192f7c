"""Which texts of a value are found by meaning. Imports nothing that can fail.

    $                    all of it          title · author.name       a field
    notes[0] · notes[-1] an element         notes[*].text · tags.*    each of them, a text each
    {title,author.name}  several fields, a text each

Source: the paths of LangGraph's store (`PutOp.index`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

__all__ = ["texts_at"]

MAX_TEXTS = 64  # of one value; what comes after them is not found by meaning
WHOLE = "$"
STEP = re.compile(r"\{[^{}]*\}|\[(?:\*|-?\d{1,9})\]|[^.\[\]{}]+")


def texts_at(value: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
    """The texts at these paths of a value, at most MAX_TEXTS; a path that leads nowhere gives none."""
    found = (text for path in paths for text in _walk(value, _steps(path)) if text.strip())
    return list(islice(found, MAX_TEXTS))


def _steps(path: str) -> list[str]:
    return [] if path in ("", WHOLE) else STEP.findall(path.removeprefix("$."))


def _walk(value: Any, steps: Sequence[str]) -> Iterator[str]:
    if not steps:
        yield from _text(value)
        return
    for each, rest in _next(value, steps[0], steps[1:]):
        yield from _walk(each, rest)


def _next(value: Any, step: str, rest: Sequence[str]) -> Iterator[tuple[Any, Sequence[str]]]:
    """What a step leads to, and the steps from there."""
    if step.startswith("{"):
        yield from ((value, [*_steps(name.strip()), *rest]) for name in step[1:-1].split(",") if name.strip())
    elif step in ("*", "[*]") and isinstance(value, (list, tuple)):
        yield from ((each, rest) for each in value)
    elif step == "*" and isinstance(value, Mapping):
        yield from ((each, rest) for each in value.values())
    elif step.startswith("[") and isinstance(value, (list, tuple)) and step != "[*]":
        yield from ((each, rest) for each in _element(value, int(step[1:-1])))
    elif isinstance(value, Mapping) and step in value:
        yield value[step], rest


def _element(values: Sequence[Any], number: int) -> Sequence[Any]:
    return [values[number]] if -len(values) <= number < len(values) else []


def _text(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (Mapping, list, tuple)):
        return [orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()]
    return [str(value)]
