"""Who is meant by a message, and what the one who is meant is given to read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Heard", "Said", "addressed", "heard", "spoken"]

MENTION = re.compile(r"(?<![\w@])@([\w][\w.:-]*)")
NAME_CHARS = 60


@dataclass(frozen=True)
class Said:
    """A message of the conversation."""

    role: str
    agent_id: str
    content: str


@dataclass(frozen=True)
class Heard:
    """Which agent is meant, and the message as it is to read it."""

    agent_id: str | None
    content: str


def addressed(content: str, team: Sequence[str], coordinator: str | None) -> Heard:
    """The agent that a message names with `@`, the first one of the team; else the coordinator. A leading `@name` is for nobody to read."""
    known = {agent_id.lower(): agent_id for agent_id in team}
    for mention in MENTION.finditer(content):
        agent_id = known.get(mention[1].lower()) or known.get(mention[1].rstrip(".:-").lower())
        if agent_id is not None:
            is_first = not content[: mention.start()].strip()
            rest = content[mention.start() + 1 + len(agent_id) :].lstrip(" \t,:") if is_first else content
            return Heard(agent_id, rest if rest.strip() else content)
    return Heard(coordinator, content)


def heard(missed: Sequence[Said], content: str) -> list[dict[str, str]]:
    """The messages that an agent is given: what was said by and to others since it last took part, then what is said to it."""
    earlier = [
        {
            "role": "user",
            "content": each.content if each.role == "user" else f"[{each.agent_id} answered] {each.content}",
        }
        for each in missed
    ]
    return [*earlier, {"role": "user", "content": content}]


def spoken(happened: Iterable[tuple[int, str, Mapping[str, Any]]]) -> tuple[str, str] | None:
    """What a run said last, as (message id, text), out of its events as (number, type, data); None when it said nothing.

    Tokens that a later attempt superseded do not count.
    """
    tokens: list[tuple[int, Mapping[str, Any]]] = []
    for number, kind, data in happened:
        if kind == "token":
            tokens.append((number, data))
        elif kind == "run" and "supersedes" in data:
            tokens = [each for each in tokens if each[0] < data["supersedes"]]
    if not tokens:
        return None
    message_id = str(tokens[-1][1]["message_id"])
    return message_id, "".join(data["delta"] for _, data in tokens if data["message_id"] == message_id)


def name_of(content: str) -> str:
    """A chat's name, out of its first message."""
    line = " ".join(content.split())
    return line if len(line) <= NAME_CHARS else line[: NAME_CHARS - 1].rstrip() + "…"
