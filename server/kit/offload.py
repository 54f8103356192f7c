"""Where work goes that would keep the processor for long, such as hashing a password, so that a green process goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["install", "run"]

T = TypeVar("T")


def _direct(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


_runner: list[Callable[..., Any]] = [_direct]


def install(runner: Callable[..., Any]) -> None:
    """Have `run` go through `runner(function, *args)` from now on in this process."""
    _runner[0] = runner


def run(function: Callable[..., T], *args: Any) -> T:
    """What `function(*args)` returns, computed without holding up the other requests of this process.

    The function runs in a plain thread where the process is green: it must not touch the request, the database or a lock.
    """
    result: T = _runner[0](function, *args)
    return result
