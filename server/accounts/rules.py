"""What holds for accounts whatever is stored: lengths, how an address is compared, the shape of an API key."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import unicodedata

__all__ = [
    "MAX_API_KEYS",
    "MAX_EMAIL_CHARS",
    "MAX_NAME_CHARS",
    "MAX_PASSWORD_CHARS",
    "MIN_PASSWORD_CHARS",
    "OUTSIDE",
    "REFRESH_OVERLAP_S",
    "REGISTRATIONS_A_MINUTE",
    "digest",
    "email_key",
    "is_api_key",
    "network",
    "new_api_key",
    "outside_key",
    "shown_prefix",
]

MIN_PASSWORD_CHARS = 8
# Long enough for any passphrase, short enough that hashing it costs nothing more.
MAX_PASSWORD_CHARS = 1024
# Source: RFC 5321, 4.5.3.1.3.
MAX_EMAIL_CHARS = 254
MAX_NAME_CHARS = 200
MAX_API_KEYS = 100
# From one network: what a class room needs, and far less than it takes to keep a processor busy with hashing.
REGISTRATIONS_A_MINUTE = 120
# A refresh whose answer was lost may be asked for again with the same token for so long.
REFRESH_OVERLAP_S = 30.0

OUTSIDE = "outside:"
API_KEY_MARK = "parley_"
SHOWN_CHARS = len(API_KEY_MARK) + 6


def email_key(email: str) -> str:
    """What two spellings of one address have in common; accounts are unique by it."""
    return unicodedata.normalize("NFKC", email.strip()).casefold()


def outside_key(identity: str) -> str:
    """What stands in the place of an address for somebody whom an operator's handlers know; no address looks like it."""
    return OUTSIDE + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


def network(address: str | None) -> str:
    """The network that a throttle counts for: an IPv4 address itself, of an IPv6 address its /64, which one customer has."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((parsed, 64), strict=False).network_address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def new_api_key() -> str:
    """A new API key: the mark and 256 random bits."""
    return API_KEY_MARK + secrets.token_urlsafe(32)


def is_api_key(text: str) -> bool:
    """Whether a credential looks like an API key rather than a token."""
    return text.startswith(API_KEY_MARK)


def shown_prefix(api_key: str) -> str:
    """The beginning of a key, by which its owner knows it again."""
    return api_key[:SHOWN_CHARS]


def digest(api_key: str) -> str:
    """What is stored of a key. It is random, so that one round of SHA-256 is enough to keep it secret."""
    return hashlib.sha256(api_key.encode("utf-8", "surrogateescape")).hexdigest()
