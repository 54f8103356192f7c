"""The types that a checkpoint may bring back: what the graph declares, what the agent's own code defines, and nothing else.

LangGraph, told to be strict, gives a type that is not allowed back as a dict or a string, without a word to the graph. Here the
run ends instead, and its error names the type. Source: LangGraph's serde event hook, `register_serde_event_listener`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener

__all__ = ["StateTypeBlocked", "defined_in", "listen", "nothing_blocked"]

# What was blocked while the state of the run at hand was read; LangGraph reads it in threads, which inherit this.
_blocked: ContextVar[list[str] | None] = ContextVar("blocked", default=None)


class StateTypeBlocked(Exception):
    """The agent's state holds something of a type that it does not declare; the message is the type's name."""


def listen() -> None:
    """Hear from now on in this process what LangGraph blocks."""
    register_serde_event_listener(_heard)


def _heard(event: SerdeEvent) -> None:
    names = _blocked.get()
    if names is not None and event["kind"] in ("msgpack_blocked", "msgpack_method_blocked"):
        names.append(f"{event['module']}.{event['name']}")


@contextmanager
def nothing_blocked() -> Iterator[None]:
    """Raises StateTypeBlocked at its end if something was blocked meanwhile."""
    names: list[str] = []
    before = _blocked.set(names)
    try:
        yield
    finally:
        _blocked.reset(before)
    if names:
        raise StateTypeBlocked(names[0])


def defined_in(modules: list[ModuleType]) -> frozenset[tuple[str, str]]:
    """The classes that modules define, as a checkpoint names them."""
    return frozenset(
        (module.__name__, name)
        for module in modules
        for name, each in list(vars(module).items())
        if isinstance(each, type) and each.__module__ == module.__name__
    )
