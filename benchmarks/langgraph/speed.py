"""What a server of the LangGraph dialect costs, seen from outside: `python -m benchmarks.langgraph.speed --compare`.

One server or several after each other, the same work for each, one table at the end. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.langgraph import rows
from benchmarks.langgraph.costs import PROCESSORS, yardstick_ms
from benchmarks.langgraph.servers import KINDS, Server, started

Results = dict[str, list[rows.Figures]]


@dataclass(frozen=True)
class Size:
    """How much of everything: seconds of run and wait, background runs, streams of one client and of all, threads, idle streams."""

    seconds: float
    background: int
    streams: tuple[int, int]
    threads: int
    idle: int


FULL = Size(seconds=8, background=400, streams=(6, 32), threads=10_000, idle=2_000)
# What must not become slower with what is stored.
GROWING = ["wait16", "wait1", "thread16", "background", "stream1", "stream16"]
QUICK = Size(seconds=1, background=32, streams=(1, 4), threads=200, idle=50)

# A line of the table: what, its unit, the work and the figure of it that tells, what ours shall be at least.
LINES = (
    ("run and wait, 16 clients", "per s", "wait16", "per_s", "≥ 150"),
    ("", "p50 ms", "wait16", "p50_ms", ""),
    ("", "p95 ms", "wait16", "p95_ms", ""),
    ("run and wait, 1 client", "p50 ms", "wait1", "p50_ms", "≤ 12"),
    ("", "p95 ms", "wait1", "p95_ms", ""),
    ("", "per s", "wait1", "per_s", ""),
    ("run and wait on a thread, 16 clients", "per s", "thread16", "per_s", ""),
    ("", "p50 ms", "thread16", "p50_ms", ""),
    ("CPU of a trivial run, 16 clients, everything", "ms", "wait16", "cpu_ms", "≤ 11"),
    ("of that the server", "ms", "wait16", "cpu_ms_own", ""),
    ("PostgreSQL and Redis", "ms", "wait16", "cpu_ms_ground", ""),
    ("the client", "ms", "wait16", "cpu_ms_client", ""),
    ("CPU of a trivial run, 1 client, everything", "ms", "wait1", "cpu_ms", ""),
    ("CPU of a trivial run on a thread, 16 clients", "ms", "thread16", "cpu_ms", ""),
    ("background runs accepted, 16 clients", "per s", "background", "accepted_per_s", "≥ 400"),
    ("background runs completed", "per s", "background", "completed_per_s", "≥ 150"),
    ("stream, 1 client: first event", "ms", "stream1", "first_event_ms", "≤ 12"),
    ("first token", "ms", "stream1", "first_token_ms", ""),
    ("tokens, 1 client", "per s", "stream1", "tokens_per_s", "≥ 5,000"),
    ("tokens, 16 clients", "per s", "stream16", "tokens_per_s", "≥ 7,000"),
    ("CPU of a token, 1 client", "ms", "stream1", "cpu_ms_per_token", ""),
    ("CPU of a token, 16 clients", "ms", "stream16", "cpu_ms_per_token", "≤ 0.22"),
    ("memory of everything, just started", "MB", "fresh", "total_mb", "≤ 350"),
    ("after the first runs", "MB", "rest", "total_mb", "≤ 350"),
    ("of that PostgreSQL and Redis", "MB", "rest", "ground_mb", ""),
    ("ready after", "s", "rest", "ready_s", "≤ 6"),
    ("idle streams: memory of the process that holds them", "MB", "idle", "with_mb", "≤ 250"),
    ("before them", "MB", "idle", "before_mb", ""),
    ("Redis connections that they add", "", "idle", "redis_connections", "≤ 1"),
    ("all connected after", "s", "idle", "connect_s", ""),
    ("threads made, the first tenth", "per s", "threads", "first_per_s", ""),
    ("threads made, the last tenth", "per s", "threads", "last_per_s", "≥ 90 % of the first"),
    ("CPU of a thread made, the first tenth", "ms", "threads", "first_cpu_ms", ""),
    ("the last tenth", "ms", "threads", "last_cpu_ms", ""),
    ("run and wait with them stored, 16 clients", "per s", "wait16_grown", "per_s", "≥ 90 % of before"),
    ("CPU of a trivial run with them stored", "ms", "wait16_grown", "cpu_ms", "≤ 110 % of before"),
)
# What was so during all of it.
ABOUT = (
    ("share of the machine that somebody else used meanwhile", "of 1", "others"),
    ("the yardstick: a fixed piece of work of the client's own", "ms", "yardstick_ms"),
)


def work(server: Server, size: Size, only: Sequence[str]) -> Iterator[tuple[str, Callable[[], Awaitable[rows.Figures]]]]:
    """The pieces of work by name, in the order in which they are done."""
    pieces: dict[str, Callable[[], Awaitable[rows.Figures]]] = {
        "rest": lambda: rows.memory_at_rest(server),
        "wait16": lambda: rows.run_and_wait(server, clients=16, for_s=size.seconds),
        "wait1": lambda: rows.run_and_wait(server, clients=1, for_s=size.seconds * 0.75),
        "thread16": lambda: rows.run_and_wait(server, clients=16, for_s=size.seconds, thread=True),
        "background": lambda: rows.background(server, clients=16, times=size.background),
        "stream1": lambda: rows.stream_tokens(server, clients=1, times=size.streams[0]),
        "stream16": lambda: rows.stream_tokens(server, clients=16, times=size.streams[1]),
        "threads": lambda: rows.thread_creation(server, clients=16, times=size.threads),
        "wait16_grown": lambda: rows.run_and_wait(server, clients=16, for_s=size.seconds),
        "idle": lambda: rows.idle_streams(server, streams=size.idle),
    }
    return iter([(name, piece) for name, piece in pieces.items() if not only or name in only])


async def measured(server: Server, size: Size, only: Sequence[str], results: Results) -> None:
    """Do all pieces of work once and add their figures; one that fails says so and is left out."""
    if not only or "fresh" in only:
        results.setdefault("fresh", []).append(await rows.memory_at_rest(server))
    await rows.warm(server)
    for name, piece in work(server, size, only):
        try:
            figures = await piece()
        except Exception as error:  # what a server cannot do must not hide what it can
            print(f"{server.kind:15} {name:13} FAILED: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr, flush=True)
            continue
        own = [each for part, each in figures.items() if part.startswith("cpu_ms_") and part not in ("cpu_ms_client", "cpu_ms_per_token")]
        ground = sum(figures.get(f"cpu_ms_{part}", 0.0) for part in ("database", "redis"))
        figures["yardstick_ms"] = yardstick_ms()
        figures |= {"cpu_ms_ground": ground, "cpu_ms_own": sum(own) - ground} if own else {}
        results.setdefault(name, []).append(figures)
        told = "  ".join(f"{part} {each:,.2f}" for part, each in figures.items())
        print(f"{time.strftime('%H:%M:%S')} {server.kind:15} {name:13} {told}", file=sys.stderr, flush=True)


# -- the table ---------------------------------------------------------------------------------------------------------


def _written(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _cell(results: Results, piece: str, figure: str) -> str:
    """The median of the repetitions, and their range."""
    values = [figures[figure] for figures in results.get(piece, []) if figure in figures]
    if not values:
        return "–"
    if len(values) == 1:
        return _written(values[0])
    return f"{_written(statistics.median(values))} ({_written(min(values))}–{_written(max(values))})"


def table(columns: dict[str, Results]) -> str:
    """All figures, a column for each server."""
    told = [f"| Work | Unit | Goal | {' | '.join(columns)} |", "|---|---|---|" + "---|" * len(columns)]
    for label, unit, piece, figure, goal in LINES:
        cells = [_cell(results, piece, figure) for results in columns.values()]
        if any(cell != "–" for cell in cells):
            told.append(f"| {label or '″'} | {unit} | {goal} | {' | '.join(cells)} |")
    for label, unit, figure in ABOUT:
        cells = [_cell({"all": [each for all_of in results.values() for each in all_of]}, "all", figure) for results in columns.values()]
        told.append(f"| {label} | {unit} | | {' | '.join(cells)} |")
    return "\n".join(told)


def _machine() -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return (
        f"{PROCESSORS} processors ({model}), {platform.system()} {platform.release()}; client and ours: Python {platform.python_version()}"
    )


# -- the command -------------------------------------------------------------------------------------------------------


def _options() -> argparse.Namespace:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--start", action="append", choices=[*KINDS], default=[], help="start such a server and measure it; may be repeated")
    asked.add_argument("--compare", action="store_true", help="all of them, one after the other")
    asked.add_argument("--url", help="measure a server that runs already (with the agents of agents/)")
    asked.add_argument("--header", action="append", default=[], help="'Name: value' for --url, such as a key")
    asked.add_argument("--pid", action="append", type=int, default=[], help="a process of the server at --url, for its CPU and memory")
    asked.add_argument("--repeat", type=int, default=1, help="how often all of it; servers take turns")
    asked.add_argument("--quick", action="store_true", help="a little of everything, to see that it works")
    asked.add_argument("--only", default="", help="names of pieces of work, comma-separated")
    asked.add_argument(
        "--fill", action="store_true", help="two of ours in turns: one empty, one with 100,000 threads and a million runs stored"
    )
    asked.add_argument("--langgraph", default=os.environ.get("LANGGRAPH", "langgraph"), help="the command `langgraph` (LANGGRAPH)")
    asked.add_argument("--aegra", default=os.environ.get("AEGRA_PYTHON", ""), help="a Python that has aegra-api (AEGRA_PYTHON)")
    asked.add_argument("--json", type=Path, help="write all figures here as well")
    return asked.parse_args()


def _filled(options: argparse.Namespace, size: Size, columns: dict[str, Results]) -> None:
    """Two servers of ours, one that is empty and one that has a past; they take turns, since a machine is not equally fast at all times."""
    from benchmarks.langgraph.filling import fill

    only = options.only.split(",") if options.only else GROWING
    amount = {"threads": 1_000, "runs": 10_000} if options.quick else {"threads": 100_000, "runs": 1_000_000}
    with started("parley", programs={}) as empty, started("parley", programs={}) as filled:
        began = time.monotonic()
        fill(filled.database_url, **amount)
        print(f"filled with {amount} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        for _ in range(options.repeat):
            for moment, server in (("empty", empty), ("filled", filled)):
                asyncio.run(measured(server, size, only, columns.setdefault(f"{server.version}, {moment}", {})))


def _compared(options: argparse.Namespace, size: Size, columns: dict[str, Results]) -> None:
    kinds = [*KINDS] if options.compare else options.start
    programs = {"langgraph": options.langgraph, "aegra": options.aegra}
    for _ in range(options.repeat):
        for kind in kinds:
            with ExitStack() as stack:
                server = stack.enter_context(started(kind, programs=programs))
                only = options.only.split(",") if options.only else []
                asyncio.run(measured(server, size, only, columns.setdefault(server.version, {})))


def _given(options: argparse.Namespace) -> Server:
    headers = dict(header.split(": ", 1) for header in options.header)
    return Server("given", options.url.rstrip("/"), headers, {f"server-{pid}": pid for pid in options.pid}, version=options.url)


def main() -> None:
    """Measure what was asked for, and print the table."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
    size = QUICK if options.quick else FULL
    columns: dict[str, Results] = {}
    print(f"{_machine()}; load {os.getloadavg()}", file=sys.stderr)
    if options.fill:
        _filled(options, size, columns)
    elif options.url:
        server = _given(options)
        asyncio.run(measured(server, size, options.only.split(",") if options.only else [], columns.setdefault(server.version, {})))
    else:
        _compared(options, size, columns)
    written: dict[str, Any] = {"machine": _machine(), "figures": columns}
    if options.json:
        options.json.write_text(json.dumps(written, indent=1))
    print(f"\n{_machine()}\n\n{table(columns)}")


if __name__ == "__main__":
    main()
