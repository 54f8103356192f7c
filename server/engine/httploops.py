"""HTTP clients that outlive a loop: each event loop gets connections of its own, whoever made the client.

Model providers' packages keep one asynchronous HTTP client for the whole process. A connection belongs to the loop that it was opened
on; taken up by another one it fails with "bound to a different event loop". Agents here run on several loops, one after the other and
side by side, so the connection pools below those clients (httpcore, under httpx) are kept apart by loop.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from typing import Any

__all__ = ["keep_loops_apart"]

PACKAGES = ("httpcore", "httpcore2")
POOLS = ("AsyncSOCKSProxy", "AsyncHTTPProxy", "AsyncConnectionPool")


def keep_loops_apart() -> None:
    """From now on every pool of connections has a twin for each loop but its first; doing it again changes nothing."""
    for package in PACKAGES:
        try:
            module = importlib.import_module(package)
        except ImportError:
            continue
        for name in POOLS:
            pool = getattr(module, name, None)
            if pool is not None and "__parley_twins__" not in pool.__dict__:
                _mend(pool)


def _mend(pool_class: Any) -> None:
    construct = pool_class.__init__
    handle = pool_class.__dict__.get("handle_async_request")

    @functools.wraps(construct)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        self.__dict__.setdefault("_made_with", (args, kwargs))
        construct(self, *args, **kwargs)

    pool_class.__init__ = remembering
    pool_class.__parley_twins__ = True
    if handle is not None:

        @functools.wraps(handle)
        async def on_this_loop(self: Any, request: Any) -> Any:
            return await handle(_twin(self), request)

        pool_class.handle_async_request = on_this_loop


def _twin(pool: Any) -> Any:
    """The pool of the running loop that was made as this one was."""
    loop = asyncio.get_running_loop()
    is_first = "_twins" not in pool.__dict__
    twins: dict[asyncio.AbstractEventLoop, Any] = pool.__dict__.setdefault("_twins", {})
    if loop not in twins:
        # A pool's connections hold their loop: it goes only when it is let go of here.
        for gone in [each for each in list(twins) if each.is_closed()]:
            twins.pop(gone, None)
        args, kwargs = pool.__dict__.get("_made_with", ((), {}))
        twins[loop] = pool if is_first else type(pool)(*args, **kwargs)
    return twins[loop]
