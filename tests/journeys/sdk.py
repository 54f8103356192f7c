"""Both clients of Python's SDK, spoken to in one way, so that each story is told once and lived by both."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import APIStatusError

from tests.talk import Person

NOUNS = ("assistants", "threads", "runs", "crons", "store")
CLIENTS = {"async": get_client, "sync": get_sync_client}
LIMIT_S = 60
HERE = Path(__file__).parent


class Sdk:
    """A client as it is, except that what it gives is awaited, and what it streams is a list."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._runner = asyncio.Runner()

    def __getattr__(self, noun: str) -> Noun:
        return Noun(getattr(self.client, noun), self._settled)

    def _settled(self, given: Any) -> Any:
        if inspect.isawaitable(given):
            return self.run(given)
        if hasattr(given, "__aiter__"):
            return self.run(_listed(given))
        return list(given) if isinstance(given, Iterator) else given

    def run(self, story: Any) -> Any:
        """What a coroutine of this client comes to."""
        return self._runner.run(asyncio.wait_for(story, LIMIT_S))

    def close(self) -> None:
        """Close the client's connections and its event loop."""
        self._settled(self.client.aclose() if hasattr(self.client, "aclose") else self.client.close())
        self._runner.close()


class Noun:
    """One of the client's nouns."""

    def __init__(self, noun: Any, settled: Callable[[Any], Any]) -> None:
        self._noun, self._settled = noun, settled

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        called = getattr(self._noun, verb)
        return lambda *args, **options: self._settled(called(*args, **options))


async def _listed(stream: Any) -> list[Any]:
    return [part async for part in stream]


@contextmanager
def spoken(kind: str, person: Person) -> Iterator[Sdk]:
    """A client of a kind, `async` or `sync`, of somebody who has signed in."""
    sdk = Sdk(CLIENTS[kind](url=person.base_url, headers={"Authorization": f"Bearer {person.tokens['access_token']}"}))
    try:
        yield sdk
    finally:
        sdk.close()


def refused(status: int, call: Callable[[], Any]) -> str:
    """What a call is refused with, in the words for people."""
    with pytest.raises((APIStatusError, httpx.HTTPStatusError)) as caught:
        call()
    assert caught.value.response.status_code == status, caught.value.response.text
    return str(caught.value.response.json()["detail"])


def methods(noun: str) -> set[str]:
    """The public methods that either client has of a noun."""
    found = set()
    for make in CLIENTS.values():
        kind = type(getattr(make(url="http://nowhere"), noun))
        found |= {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    return found


def untold(noun: str) -> set[str]:
    """The public methods of a noun that no story calls."""
    told = "".join(path.read_text() for path in sorted(HERE.glob("test_langgraph_sdk_*.py")))
    return methods(noun) - set(re.findall(rf"\.{noun}\.(\w+)\(", told))
