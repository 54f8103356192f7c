"""Which process this is, in words that another process on the same machine can check: whether it is still there.

Only what shares the machine's boot and its table of processes can be judged; of any other nobody here can tell.
Source: proc(5): /proc/[pid]/stat, /proc/[pid]/ns, /proc/sys/kernel/random/boot_id. Elsewhere than on Linux nothing can be told.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Whereabouts", "is_gone", "memory_bytes", "mine"]

PROC = Path("/proc")


@dataclass(frozen=True)
class Whereabouts:
    """A process: the table of processes it is in, its number there, and when it began (in clock ticks since the boot)."""

    place: str
    pid: int
    began: int


def mine() -> Whereabouts:
    """The whereabouts of this process."""
    return Whereabouts(_place(), os.getpid(), _began(os.getpid()) or 0)


def is_gone(other: Whereabouts) -> bool:
    """Whether that process has certainly ended. False also when it cannot be told from here."""
    if other.began == 0 or other.place != _place():
        return False
    return _began(other.pid) != other.began


def memory_bytes() -> int:
    """The memory that this process takes now; 0 where it cannot be told."""
    try:
        return int((PROC / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _place() -> str:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{boot}/{os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _began(pid: int) -> int | None:
    """When a living process began; None for one that is gone or only waits to be buried."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
