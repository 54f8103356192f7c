"""The settings as text: the page `docs/settings.md`, and the values in force."""

from __future__ import annotations

import dataclasses

from server.settings import SECRET_SETTINGS, Settings

__all__ = ["page", "values"]

HEAD = """# Settings

Every setting is an environment variable. This page is made from the table in `server/settings.py` (`make docs`);
`parley settings` prints the values in force, `parley doctor` checks that they fit together.

| Variable | Default | Meaning |
|---|---|---|
"""


def page() -> str:
    """The reference page, in Markdown."""
    rows = [f"| `{field.name.upper()}` | {_written(field.default)} | {field.metadata['doc']} |" for field in dataclasses.fields(Settings)]
    return HEAD + "\n".join(rows) + "\n"


def _written(default: object) -> str:
    if default in ("", ()):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def values(settings: Settings) -> str:
    """One line a setting, those that differ from the default marked; a secret is only said to be set."""
    lines = []
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        mark = "*" if value != field.default else " "
        shown = "(set)" if field.name in SECRET_SETTINGS and value else value
        lines.append(f"{mark} {field.name.upper()}={shown}")
    return "\n".join(lines) + "\n"
