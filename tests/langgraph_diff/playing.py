"""Scenarios played against a server: each step is one request; what comes back is masked, so that two servers can be compared."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.langgraph_diff import masks

HEADERS = ("content-type", "cache-control", "x-accel-buffering", "location", "content-location", "x-pagination-total", "x-pagination-next")
TIMEOUT_S = 30.0
PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Step:
    """One request of a scenario.

    path, body, headers: `{name}` stands for what an earlier step has kept, `{unique}` for a word of this play alone.
    keep: names for parts of the answer, by their place in it: `{"run": "run_id"}`, `{"first": "0.run_id"}`.
    until: ask again until this part of the answer has this value: `("status", "success")`.
    stop: leave an endless stream after the first event whose text holds this.
    raw: sent as it is in place of a JSON body.
    """

    name: str
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)
    until: tuple[str, Any] | None = None
    stop: str | None = None
    raw: str | None = None


@dataclass(frozen=True, eq=False)
class Scenario:
    """Steps that build on each other."""

    name: str
    steps: tuple[Step, ...]


def play(scenario: Scenario, base_url: str, headers: dict[str, str]) -> dict[str, Any]:
    """The masked answers of a server, by the names of the steps."""
    known = {"unique": f"u{uuid.uuid4().hex[:12]}"}
    answers: dict[str, Any] = {}
    for step in scenario.steps:
        answer = _settled(base_url, headers, step, known)
        for name, place in step.keep.items():
            known[name] = str(_part(answer["body"], place))
        answers[step.name] = masks.masked(answer, known)
    return answers


def _settled(base_url: str, headers: dict[str, str], step: Step, known: dict[str, str]) -> dict[str, Any]:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        answer = _asked(base_url, headers, step, known)
        if step.until is None or _part(answer["body"], step.until[0]) == step.until[1]:
            return answer
        assert time.monotonic() < deadline, f"{step.name}: {step.until} did not come: {answer}"
        time.sleep(0.05)


def _asked(base_url: str, headers: dict[str, str], step: Step, known: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {"headers": headers | _filled(step.headers, known), "timeout": TIMEOUT_S}
    options |= {"stream": True, "allow_redirects": False}
    if step.raw is not None:
        options["data"] = step.raw
        options["headers"]["content-type"] = "application/json"
    elif step.body is not None:
        options["json"] = _filled(step.body, known)
    with requests.request(step.method, base_url + _filled(step.path, known), **options) as response:
        answer: dict[str, Any] = {"status": response.status_code}
        answer["headers"] = {name: response.headers[name] for name in HEADERS if name in response.headers}
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            answer["body"] = list(_events(response, step.stop))
        else:
            answer["body"] = _decoded(response.text)
    return answer


def _events(response: requests.Response, stop: str | None) -> Iterator[dict[str, Any]]:
    """The events of an SSE answer; comments are not events."""
    fields: dict[str, str] = {}
    for line in _lines(response):
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        if line or not fields:
            continue
        yield {**fields, "data": _decoded(fields.get("data", ""))}
        if stop is not None and stop in fields.get("data", ""):
            return
        fields = {}


def _lines(response: requests.Response) -> Iterator[str]:
    """Lines as they come, whether they end as one side writes them or as the other. Heartbeats alone keep no stream open for ever."""
    rest, deadline = b"", time.monotonic() + TIMEOUT_S
    for piece in response.iter_content(chunk_size=None):
        assert time.monotonic() < deadline, f"{response.url} does not come to its end"
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in whole)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _filled(part: Any, known: dict[str, str]) -> Any:
    """The same with each `{name}` in its texts, keys too, replaced by what is known under that name."""
    if isinstance(part, dict):
        return {_filled(key, known): _filled(value, known) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(each, known) for each in part]
    if isinstance(part, str):
        return PLACE.sub(lambda found: known[found[1]], part)
    return part


def _part(body: Any, place: str) -> Any:
    for name in place.split("."):
        try:
            body = body[int(name)] if isinstance(body, list) else body[name]
        except (KeyError, IndexError, TypeError):
            return None
    return body
