"""Passwords as argon2id. Each call costs about 25 ms of one processor and 19 MB, outside the web process's event loop."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.kit import offload

__all__ = ["NOBODYS", "hashed", "matches"]

# Instead of a hash: no password matches it.
NOBODYS = "!"

# Source: OWASP Password Storage Cheat Sheet (19 MiB, 2 passes, 1 lane).
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hashed(password: str) -> str:
    """The hash to store. Give the database connection back before: this waits for a free processor."""
    return offload.run(HASHER.hash, password)


def matches(password_hash: str, password: str) -> bool:
    """Whether the hash was made of this password. Give the database connection back before."""
    return offload.run(_verify, password_hash, password)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (InvalidHashError, VerificationError):
        return False
