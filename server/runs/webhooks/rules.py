"""How a webhook is signed, and how often it is tried. Pure."""

from __future__ import annotations

import hmac

__all__ = ["BACKOFF_S", "pause_s", "signature"]

# How long after each failed try the next one comes: six tries, within about an hour.
BACKOFF_S = (10.0, 60.0, 300.0, 900.0, 2400.0)


def pause_s(tries: int) -> float | None:
    """How long to wait after so many tries; None: it was tried often enough."""
    return BACKOFF_S[tries - 1] if tries <= len(BACKOFF_S) else None


def signature(secret: str, body: bytes, moment_s: int) -> str:
    """The value of `X-Parley-Signature`: the moment in seconds since 1970, and what shows that who knows the secret wrote both."""
    signed = hmac.digest(secret.encode(), f"{moment_s}.".encode() + body, "sha256").hex()
    return f"t={moment_s},v1={signed}"
