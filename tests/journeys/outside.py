"""A whole server seen from outside: whether it answers, whom it knows, what of it runs."""

from __future__ import annotations

import fcntl
from pathlib import Path

import requests

from tests.stack import Stack

PASSWORD = "correct horse battery"


def pings(base_url: str) -> bool:
    """Whether it answers."""
    return requests.get(f"{base_url}/ping", timeout=5).json() == {"msg": "pong"}


def everything_that_runs(stack: Stack) -> list[int]:
    """Pids of the supervisor, its children and the embedded servers; the supervisor comes first."""
    children = stack.state()["children"].values()
    return [stack.process.pid, *children, stack.server_pid("database"), stack.server_pid("redis")]


def register(base_url: str, email: str) -> int:
    """The status of the request for an account."""
    return requests.post(f"{base_url}/register", json={"email": email, "password": PASSWORD}, timeout=10).status_code


def can_sign_in(base_url: str, email: str) -> bool:
    """Whether the server knows somebody of that address."""
    answer = requests.post(f"{base_url}/auth/login", json={"email": email, "password": PASSWORD}, timeout=10)
    return answer.status_code == 200


def is_unlocked(path: Path) -> bool:
    """Whether nobody holds the lock on a file."""
    with path.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
