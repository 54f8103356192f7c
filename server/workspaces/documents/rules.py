"""What holds for documents whatever is stored: bounds, and their refusals."""

from __future__ import annotations

from server.kit.errors import Invalid

__all__ = ["MAX_CHARS", "MAX_NAME_CHARS", "MAX_PAGES", "TooMuchText"]

MAX_NAME_CHARS = 200
MAX_PAGES = 500
MAX_CHARS = 2_000_000


class TooMuchText(Invalid):
    __doc__ = f"The document holds more than {MAX_CHARS:,} characters of text."
