"""What processes cost: the processor's time and the memory of whole families of processes, read from /proc (Linux)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Meter", "Spent", "memory_parts", "yardstick_ms"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PROCESSORS = os.cpu_count() or 1


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name; the first is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _family(roots: Iterable[int]) -> set[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, IndexError):
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def _processor_s(pids: Iterable[int]) -> float:
    """Seconds of processor time that these processes have used so far, and those of their dead."""
    ticks = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            ticks += sum(map(int, _stat(pid)[11:15]))  # utime, stime, and the same of children that were waited for
    return ticks * TICK_S


def _families(roots: Mapping[str, int]) -> dict[str, set[int]]:
    """The processes of each root; one that descends from another root is counted with the nearer one."""
    whole = {name: _family([pid]) for name, pid in roots.items()}
    return {name: pids.difference(*(whole[each] for each in roots if each != name and roots[each] in pids)) for name, pids in whole.items()}


def _machine_s() -> float:
    """Seconds that all processors of the machine were busy so far, or held back by the host of a virtual machine (steal)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return (user + nice + system + irq + softirq + steal) * TICK_S


def memory_parts(roots: Mapping[str, int]) -> dict[str, float]:
    """Memory of each family, in MB."""
    return {name: _memory_mb(pids) for name, pids in _families(roots).items()}


def _memory_mb(pids: Iterable[int]) -> float:
    """Memory of processes, in MB (10^6 bytes): the sum of their proportional set sizes, so that what is shared counts once."""
    total_kb = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total_kb += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total_kb * 1024 / 1e6


def yardstick_ms() -> float:
    """Milliseconds that a fixed piece of work takes now (the best of five): how fast this machine is at the moment."""
    page = {f"name {number}": [number, str(number), {"half": number / 2}] for number in range(2000)}
    took_s = []
    for _ in range(5):
        began = time.perf_counter()
        json.loads(json.dumps(page))
        took_s.append(time.perf_counter() - began)
    return min(took_s) * 1000


@dataclass
class Spent:
    """What a stretch of time has cost.

    parts: seconds of processor time by family. others: the share of the machine that somebody else used, or its host took away.
    """

    wall_s: float
    parts: dict[str, float]
    others: float

    @property
    def processor_s(self) -> float:
        """Seconds of processor time of all families together."""
        return sum(self.parts.values())


class Meter:
    """Measures from its making to `read`. roots: a process by what it is; its family counts. The client counts too."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = {**roots, "client": os.getpid()}
        self._began = self._now()

    def _now(self) -> tuple[float, float, dict[str, float]]:
        return time.perf_counter(), _machine_s(), {name: _processor_s(pids) for name, pids in _families(self._roots).items()}

    def read(self) -> Spent:
        """What it has cost until now."""
        wall, machine, parts = self._now()
        wall_s, machine_s = wall - self._began[0], machine - self._began[1]
        spent = {name: each - self._began[2][name] for name, each in parts.items()}
        return Spent(wall_s, spent, max(0.0, machine_s - sum(spent.values())) / (wall_s * PROCESSORS))
