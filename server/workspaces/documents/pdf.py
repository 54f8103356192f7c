"""The text of a PDF, read by a process of its own (`pdf_reader`), which can be killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from server.kit.errors import Invalid, Unavailable
from server.workspaces.documents.rules import MAX_CHARS, MAX_PAGES, TooMuchText

__all__ = ["BrokenPdf", "EncryptedPdf", "Pages", "SlowPdf", "TooManyPages", "pages_of"]

PDF_S = 30  # wall time and CPU; a book of 500 pages takes about 10
READERS = threading.BoundedSemaphore(2)  # processes at once; each may take a gigabyte


class BrokenPdf(Invalid):
    """The PDF is damaged and cannot be read."""


class EncryptedPdf(Invalid):
    """The PDF is encrypted; add it without a password."""


class TooManyPages(Invalid):
    __doc__ = f"The PDF has more than {MAX_PAGES} pages."


class SlowPdf(Invalid):
    """The PDF takes too long to read."""


REFUSALS: dict[str, type[Invalid]] = {"broken": BrokenPdf, "encrypted": EncryptedPdf, "pages": TooManyPages, "chars": TooMuchText}


@dataclass(frozen=True, slots=True)
class Pages:
    """texts: of each page. titles: the PDF's table of contents, as page (from 1), level (from 1), title."""

    texts: list[str]
    titles: list[list[Any]]


def pages_of(data: bytes) -> Pages:
    """The text of the PDF.

    Blocks until its reader is done, at most PDF_S, after waiting as long for its turn; in a green process call it from a
    greenlet, not from a plain thread. Raises one of this module's refusals (422), TooMuchText, Unavailable.
    """
    with _turn(), tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as told:
        source.write(data)
        source.seek(0)
        code = _exit_code(source, told)
        told.seek(0)
        printed = told.read()
    if code < 0:
        raise SlowPdf
    if code or not printed:
        raise BrokenPdf
    answer = json.loads(printed)
    if "refused" in answer:
        raise REFUSALS[answer["refused"]]
    return Pages(answer["pages"], answer["titles"])


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if not READERS.acquire(timeout=PDF_S):
        raise Unavailable
    try:
        yield
    finally:
        READERS.release()


def _exit_code(source: IO[bytes], told: IO[bytes]) -> int:
    """How the reader ended; negative when it was killed."""
    script = Path(__file__).with_name("pdf_reader.py")
    command = [sys.executable, "-I", str(script), str(MAX_PAGES), str(MAX_CHARS), str(PDF_S)]
    reader = subprocess.Popen(command, stdin=source, stdout=told, stderr=subprocess.DEVNULL)
    try:
        return reader.wait(timeout=PDF_S)
    except subprocess.TimeoutExpired:
        raise SlowPdf from None
    finally:
        if reader.poll() is None:
            reader.kill()
            reader.wait()
