"""What is measured, a function for each piece of work; each gives figures by name, in the units that the name says."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from benchmarks.langgraph.calls import Line, Streamed
from benchmarks.langgraph.costs import Meter, memory_parts
from benchmarks.langgraph.servers import Server

__all__ = ["Figures", "background", "idle_streams", "memory_at_rest", "run_and_wait", "stream_tokens", "thread_creation", "warm"]

Figures = dict[str, float]
TOKENS = 1000
POLL_S = 0.05
TOKEN = b"event: messages"
# Nobody listens that long: the streams of a run that waits are left open and cut.
FOREVER_S = 3600


def said(text: str) -> dict[str, Any]:
    """An input: one message, of an id that stays, so that it takes the place of the one before."""
    return {"messages": [{"role": "user", "content": text, "id": "question"}]}


def _lines(server: Server, clients: int) -> list[Line]:
    return [Line(server.base_url, server.headers) for _ in range(clients)]


async def _shared(
    lines: Sequence[Line], work: Callable[[Line], Awaitable[Any]], *, times: int | None = None, for_s: float | None = None
) -> tuple[list[Any], list[float]]:
    """What pieces of work gave, shared among the clients, and how many seconds each took: `times` of them, or what is begun in `for_s`."""
    numbers = itertools.count() if times is None else iter(range(times))
    until = None if for_s is None else time.perf_counter() + for_s
    gave: list[Any] = []
    took_s: list[float] = []

    async def client(line: Line) -> None:
        for _ in numbers:
            began = time.perf_counter()
            if until is not None and began > until:
                return
            gave.append(await work(line))
            took_s.append(time.perf_counter() - began)

    try:
        await asyncio.gather(*map(client, lines))
    finally:
        for line in lines:
            line.close()
    return gave, took_s


def _spread(took_s: Sequence[float]) -> Figures:
    ordered = sorted(took_s)
    return {"p50_ms": statistics.median(ordered) * 1000, "p95_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1000}


def _cost(meter: Meter, times: int) -> Figures:
    spent = meter.read()
    parts = {f"cpu_ms_{name.partition('-')[0]}": each / times * 1000 for name, each in spent.parts.items()}
    return {"per_s": times / spent.wall_s, "cpu_ms": spent.processor_s / times * 1000, **parts, "others": spent.others}


async def warm(server: Server) -> None:
    """Each agent once, and a few runs at once, so that nothing is measured that happens only at a start."""
    lines = _lines(server, 1)
    await _shared(lines, lambda line: line.stream("/runs/stream", _speaking(10), token=TOKEN), times=3)
    await run_and_wait(server, clients=16, for_s=3)
    await run_and_wait(server, clients=4, for_s=1, thread=True)


async def run_and_wait(server: Server, *, clients: int, for_s: float, thread: bool = False) -> Figures:
    """A trivial run, and its answer. thread: on a thread of the client's own, whose state stays small; else without one."""
    lines = _lines(server, clients)
    paths = {}
    for line in lines:
        paths[line] = f"/threads/{(await line.call('POST', '/threads', {}))['thread_id']}/runs/wait" if thread else "/runs/wait"
    meter = Meter(server.pids)

    async def once(line: Line) -> None:
        answer = await line.call("POST", paths[line], {"assistant_id": "echo", "input": said("hello")})
        assert answer["messages"][-1]["content"] == "You said it.", answer

    _, took_s = await _shared(lines, once, for_s=for_s)
    return {**_spread(took_s), **_cost(meter, len(took_s))}


async def background(server: Server, *, clients: int, times: int) -> Figures:
    """Trivial runs that nobody waits for, each on a new thread: accepted, and all of them completed."""
    made, _ = await _shared(_lines(server, clients), lambda line: line.call("POST", "/threads", {}), times=times)
    threads = iter([thread["thread_id"] for thread in made])
    meter = Meter(server.pids)
    began = time.perf_counter()

    async def once(line: Line) -> tuple[str, str]:
        thread_id = next(threads)
        run = await line.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": "echo", "input": said("hello")})
        return thread_id, run["run_id"]

    runs, took_s = await _shared(_lines(server, clients), once, times=times)
    accepted_s = time.perf_counter() - began
    line = _lines(server, 1)[0]
    while await line.call("POST", "/threads/search", {"status": "busy", "limit": 1}):  # noqa: ASYNC110  (another process decides)
        await asyncio.sleep(POLL_S)
    completed_s = time.perf_counter() - began
    figures = {"accepted_per_s": times / accepted_s, "completed_per_s": times / completed_s, **_spread(took_s), **_cost(meter, times)}
    statuses = [(await line.call("GET", f"/threads/{thread_id}/runs/{run_id}"))["status"] for thread_id, run_id in runs]
    line.close()
    assert set(statuses) == {"success"}, {status: statuses.count(status) for status in set(statuses)}
    return figures


def _speaking(tokens: int) -> dict[str, Any]:
    return {"assistant_id": "speak", "input": said(str(tokens)), "stream_mode": ["messages-tuple"]}


async def stream_tokens(server: Server, *, clients: int, times: int) -> Figures:
    """Runs of a thousand tokens, each token an event."""
    meter = Meter(server.pids)
    streams: list[Streamed]
    streams, _ = await _shared(
        _lines(server, clients), lambda line: line.stream("/runs/stream", _speaking(TOKENS), token=TOKEN), times=times
    )
    spent = meter.read()
    short = [each.tokens for each in streams if each.tokens < TOKENS]
    assert not short, f"streams of fewer than {TOKENS} tokens: {short}"
    return {
        "first_event_ms": statistics.median(each.first_s for each in streams) * 1000,
        "first_token_ms": statistics.median(each.first_token_s for each in streams) * 1000,
        "tokens_per_s": times * TOKENS / spent.wall_s,
        "cpu_ms_per_token": spent.processor_s / (times * TOKENS) * 1000,
        "others": spent.others,
    }


async def memory_at_rest(server: Server) -> Figures:
    """All processes of the server, those of its database and Redis, and each family, after what was done so far."""
    await asyncio.sleep(1)
    parts = memory_parts(server.pids)
    ground = sum(parts.get(name, 0.0) for name in ("database", "redis"))
    each = {f"{name}_mb": part for name, part in parts.items()}
    return {"total_mb": sum(parts.values()), "ground_mb": ground, "ready_s": server.ready_s, **each}


async def thread_creation(server: Server, *, clients: int, times: int) -> Figures:
    """Threads without end: how fast the first tenth of them was made, and how fast the last."""
    tenth = max(1, times // 10)
    first = await _creation(server, clients, tenth)
    await _creation(server, clients, times - 2 * tenth)
    last = await _creation(server, clients, tenth)
    costs = {"first_cpu_ms": first["cpu_ms"], "last_cpu_ms": last["cpu_ms"]}
    return {"first_per_s": first["per_s"], "last_per_s": last["per_s"], **costs, "others": last["others"]}


async def _creation(server: Server, clients: int, times: int) -> Figures:
    meter = Meter(server.pids)
    await _shared(_lines(server, clients), lambda line: line.call("POST", "/threads", {}), times=times)
    return _cost(meter, times)


async def idle_streams(server: Server, *, streams: int) -> Figures:
    """Streams that are open while nothing is said: what they cost the process that holds them."""
    line = _lines(server, 1)[0]
    thread_id = (await line.call("POST", "/threads", {}))["thread_id"]
    run = await line.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": "wait", "input": said(str(FOREVER_S))})
    path = f"/threads/{thread_id}/runs/{run['run_id']}/stream"
    before_mb, redis_before = _holder_mb(server), _redis_connections(server)
    lines = _lines(server, streams)
    began = time.perf_counter()
    try:
        for group in _batched(lines, 16):
            await asyncio.gather(*(each.listen(path) for each in group))
        connected_s = time.perf_counter() - began
        await asyncio.sleep(2)
        meter = Meter(server.pids)
        await asyncio.sleep(10)
        spent = meter.read()
        return {
            "before_mb": before_mb,
            "with_mb": _holder_mb(server),
            "connect_s": connected_s,
            "redis_connections": _redis_connections(server) - redis_before,
            "idle_cpu": spent.processor_s / spent.wall_s,
        }
    finally:
        for each in lines:
            each.close()
        with suppress(Exception):
            await line.call("POST", f"/threads/{thread_id}/runs/{run['run_id']}/cancel", {})
        line.close()


def _holder_mb(server: Server) -> float:
    return sum(each for name, each in memory_parts(server.pids).items() if name.startswith("web") or name == "server")


def _batched(items: Sequence[Line], size: int) -> list[Sequence[Line]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _redis_connections(server: Server) -> float:
    """How many connections its Redis has; the one that asks is counted each time."""
    if not server.redis_url:
        return 0
    import redis

    with redis.Redis.from_url(server.redis_url) as asked:
        return float(asked.info("clients")["connected_clients"])
