"""What may be remembered and asked: sizes, names, and how a namespace is written as one path. Imports nothing that can fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from server.engine.recall import Find, Forget, Get, Namespace, Namespaces, Op, Put
from server.kit.errors import Invalid, Refusal, TooLarge, Unavailable

__all__ = ["EmbeddingFailed", "SearchTooWide", "ValueTooLarge", "check", "encoded", "end_of", "namespace_of", "path_of"]

MAX_NAME_BYTES = 1024  # of a path, and of a key: both stand in an index, whose entries hold 2,700
MAX_VALUE_BYTES = 2**20
MAX_QUERY_CHARS = 10_000
MAX_FILTER_BYTES = 10_000
MAX_LIMIT = 1000
MAX_OFFSET = 1_000_000
MAX_MEANT = 2000  # how far into the answer to a query one can read: what is compared exactly costs processor time
MAX_INDEX_PATHS = 64
MAX_TTL_MINUTES = 60 * 24 * 366 * 100
ROOM = 16  # levels around a value in an answer or an event: what can be stored must also be said
RESERVED_ROOT = "langgraph"
ANY_LABEL = "*"
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class ValueTooLarge(TooLarge):
    """The value is larger than it may be."""

    code = "value_too_large"


class SearchTooWide(Invalid):
    """The search takes too long: name a longer namespace."""

    code = "search_too_wide"


class EmbeddingFailed(Unavailable):
    """The embedding does not answer, or makes vectors of another size."""

    code = "embedding_failed"


def path_of(namespace: Namespace) -> str:
    """A namespace as a path: `("users", "ann")` is `users.ann.`; one namespace is within another if its path begins with the other's."""
    return "".join(f"{label}." for label in namespace)


def namespace_of(path: str) -> Namespace:
    """The namespace of a path."""
    return tuple(path[:-1].split(".")) if path else ()


def end_of(prefix: str) -> str:
    """The least text, in the order of bytes, that is after everything that begins with a path: `/` is next to the full stop."""
    return f"{prefix[:-1]}/"


def encoded(value: Any, what: str) -> bytes:
    """The JSON text of a value. Raises Invalid for what PostgreSQL or JSON cannot hold."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        raise Invalid(f"{what} is no JSON value, is nested too deeply, or holds a number beyond 64 bits.") from None
    if NUL.search(text):
        raise Invalid(f"{what} holds a NUL character.")
    return text


def check(op: Op) -> None:
    """Raises Refusal (400), Invalid (422) or ValueTooLarge (413) for an operation that cannot be carried out."""
    CHECKS[type(op)](op)


def _check_get(op: Get | Forget) -> None:
    _check_labels(op.namespace)
    _check_key(op.key)


def _check_put(op: Put) -> None:
    if not op.namespace:
        raise Refusal("Namespace cannot be empty.")
    _check_labels(op.namespace)
    if op.namespace[0] == RESERVED_ROOT:
        raise Refusal(f'Root label for namespace cannot be "{RESERVED_ROOT}". Got: {op.namespace!r}')
    _check_key(op.key)
    if len(encoded(_surrounded(dict(op.value)), "The value")) - 2 * ROOM > MAX_VALUE_BYTES:
        raise ValueTooLarge(f"The value is larger than {MAX_VALUE_BYTES} bytes of JSON.")
    if op.index:
        _check_index(op.index)
    if op.ttl_minutes is not None and not 0 < op.ttl_minutes <= MAX_TTL_MINUTES:
        raise Invalid(f"ttl is a number of minutes above 0 and up to {MAX_TTL_MINUTES}.")


def _check_find(op: Find) -> None:
    _check_labels(op.prefix)
    _check_page(op.limit, op.offset)
    if op.query and (len(op.query) > MAX_QUERY_CHARS or op.offset + op.limit > MAX_MEANT):
        raise Invalid(f"A query has at most {MAX_QUERY_CHARS} characters, and its first {MAX_MEANT} items can be read.")
    if op.query:
        encoded(op.query, "The query")
    if len(encoded(dict(op.filter), "The filter")) > MAX_FILTER_BYTES:
        raise Invalid(f"The filter is larger than {MAX_FILTER_BYTES} bytes of JSON.")


def _check_namespaces(op: Namespaces) -> None:
    for each in (*op.prefixes, *op.suffixes):
        _check_labels(each)
    _check_page(op.limit, op.offset)
    if op.max_depth is not None and op.max_depth < 1:
        raise Invalid("max_depth is at least 1.")


def _check_page(limit: int, offset: int) -> None:
    if not 0 <= limit <= MAX_LIMIT:
        raise Invalid(f"limit is from 0 to {MAX_LIMIT}.")
    if not 0 <= offset <= MAX_OFFSET:
        raise Invalid(f"offset is from 0 to {MAX_OFFSET}.")


def _check_labels(namespace: Namespace) -> None:
    for label in namespace:
        if not isinstance(label, str) or not label or "." in label:
            raise Invalid(f"Namespace label {label!r} must be a non-empty string without periods")
    _check_name(path_of(namespace), "The namespace")


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise Invalid("The key is a text.")
    _check_name(key, "The key")


def _check_name(name: str, what: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{what} is no text of Unicode characters.") from None
    if "\x00" in name:
        raise Invalid(f"{what} holds a NUL character.")
    if size > MAX_NAME_BYTES:
        raise Invalid(f"{what} is longer than {MAX_NAME_BYTES} bytes.")


def _surrounded(value: Any) -> Any:
    for _ in range(ROOM):
        value = [value]
    return value


def _check_index(paths: Sequence[str]) -> None:
    if len(paths) > MAX_INDEX_PATHS or not all(isinstance(path, str) and len(path) <= MAX_NAME_BYTES for path in paths):
        raise Invalid(f"index is false, or a list of at most {MAX_INDEX_PATHS} paths.")


CHECKS: dict[type[Any], Callable[[Any], None]] = {
    Get: _check_get,
    Forget: _check_get,
    Put: _check_put,
    Find: _check_find,
    Namespaces: _check_namespaces,
}
