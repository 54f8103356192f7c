"""The variables of a `.env` file. Pure.

`NAME=value`, one a line; `export ` before it, `#` comments and quotes as shells write them; nothing is expanded or run.
Source: the subset of https://saurabh-kumar.com/python-dotenv/reference/ that fits on one line.
"""

from __future__ import annotations

import re

__all__ = ["BadLine", "parse"]

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_SINGLE = re.compile(r"'(?P<text>[^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class BadLine(ValueError):
    """A line that is no `NAME=value`; the message tells its number, never its text, which may be a secret."""


def parse(text: str) -> dict[str, str]:
    """The variables by name; a later line wins. Raises BadLine."""
    values = {}
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise BadLine(f"line {number} is no NAME=value")
        values[found["name"]] = _value(found["value"], number)
    return values


def _value(text: str, number: int) -> str:
    if text.startswith("'"):
        found = _SINGLE.fullmatch(text)
    elif text.startswith('"'):
        found = _DOUBLE.fullmatch(text)
    else:
        return re.split(r"\s+#", f" {text}", maxsplit=1)[0].strip()
    if not found:
        raise BadLine(f"the quotes of line {number} do not match")
    if text.startswith("'"):
        return found["text"]
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found["text"])
