"""The text of a PDF, page by page; a script, run in a process of its own, since a PDF is a program by a stranger.

Standard input: the PDF. Arguments: most pages, most characters, seconds of CPU. Standard output: one JSON object,
`{"pages": [text], "titles": [[page, level, title]]}` or `{"refused": word}` (`broken`, `encrypted`, `pages`, `chars`).
It limits its own time and memory, so that what a page makes of them ends with it. Imports nothing of the server.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any

MAX_MEMORY_BYTES = 1 << 30
MAX_TITLES = 2000
MAX_TITLE_DEPTH = 6


def main() -> None:
    """Read a PDF from standard input and print what it holds."""
    max_pages, max_chars, cpu_s = (int(argument) for argument in sys.argv[1:4])
    _limit(cpu_s)
    logging.disable(logging.CRITICAL)
    try:
        read = _read(sys.stdin.buffer.read(), max_pages, max_chars)
    except Exception:  # whatever a damaged file raises inside the parser, it is a damaged file
        read = {"refused": "broken"}
    sys.stdout.write(json.dumps(read))


def _limit(cpu_s: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _read(data: bytes, max_pages: int, max_chars: int) -> dict[str, Any]:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        return {"refused": "encrypted"}
    if len(reader.pages) > max_pages:
        return {"refused": "pages"}
    pages: list[str] = []
    chars = 0
    for page in reader.pages:
        pages.append(page.extract_text() or "")
        chars += len(pages[-1])
        if chars > max_chars:
            return {"refused": "chars"}
    return {"pages": pages, "titles": _titles(reader)}


def _titles(reader: Any) -> list[list[Any]]:
    """The PDF's own table of contents as page (from 1), level (from 1) and title; empty where it has none or it is damaged."""
    found: list[list[Any]] = []

    def walk(entries: Any, level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                if level < MAX_TITLE_DEPTH:
                    walk(entry, level + 1)
            elif len(found) < MAX_TITLES:
                number = reader.get_destination_page_number(entry)
                if number is not None:
                    found.append([number + 1, level, str(entry.title)[:200]])

    with contextlib.suppress(Exception):
        walk(reader.outline, 1)
    return found


if __name__ == "__main__":
    main()
