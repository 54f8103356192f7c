"""The rules of accounts, without a server."""

from __future__ import annotations

import pytest

from server.accounts.rules import digest, email_key, is_api_key, network, new_api_key, shown_prefix


@pytest.mark.parametrize("spelling", ["anna@example.com", "ANNA@EXAMPLE.COM", " Anna@Example.com\t", "ａnna@example.com"])
def test_spellings_of_one_address_have_one_key(spelling: str) -> None:
    assert email_key(spelling) == "anna@example.com"


@pytest.mark.parametrize("other", ["anna+x@example.com", "an.na@example.com", "anna@example.org"])
def test_other_addresses_have_other_keys(other: str) -> None:
    assert email_key(other) != "anna@example.com"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("nonsense", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_throttle_counts_for_a_network(address: str | None, expected: str) -> None:
    assert network(address) == expected


def test_keys_are_long_and_never_the_same() -> None:
    keys = {new_api_key() for _ in range(1000)}

    assert len(keys) == len({digest(key) for key in keys}) == 1000
    assert all(is_api_key(key) and len(key) >= 47 for key in keys)


def test_what_is_shown_of_a_key_does_not_give_it_away() -> None:
    key = new_api_key()

    assert key.startswith(shown_prefix(key))
    assert len(key) - len(shown_prefix(key)) >= 37
