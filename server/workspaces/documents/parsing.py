"""An uploaded file as passages.

read(name, data)  →  Parsed(name, media_type, passages)
  what it is        by the ending and by what the bytes are
  its text          UTF-8, or the pages of a PDF (`pdf`)
  blocks, cut       headings, paragraphs, tables, code; passages
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from server.kit.errors import Invalid
from server.workspaces.documents import pdf
from server.workspaces.documents.blocks import Block, markdown_blocks, plain_blocks
from server.workspaces.documents.passages import Cut, cut
from server.workspaces.documents.pdf import BrokenPdf, Pages
from server.workspaces.documents.rules import MAX_CHARS, MAX_NAME_CHARS, TooMuchText

__all__ = ["EmptyDocument", "NotUtf8", "Parsed", "PicturesOnly", "UnknownKind", "clean_name", "read"]

RUNNING_LINE_SHARE = 0.5  # a line on more than half of the pages is a header or a footer
MIN_PAGES_FOR_RUNNING_LINES = 4

PDF, MARKDOWN, PLAIN = "application/pdf", "text/markdown", "text/plain"
MEDIA_TYPES = {".pdf": PDF, ".md": MARKDOWN, ".markdown": MARKDOWN, ".txt": PLAIN, ".text": PLAIN, ".log": PLAIN, ".rst": PLAIN, "": PLAIN}


class UnknownKind(Invalid):
    """Only text (.txt), Markdown (.md) and PDF (.pdf) documents can be added."""


class EmptyDocument(Invalid):
    """The document holds no text."""


class PicturesOnly(EmptyDocument):
    """The PDF holds pictures and no text; make its text readable (OCR) first."""


class NotUtf8(Invalid):
    """The document is not UTF-8 text."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document that was understood. name: cleaned, at most 200 characters."""

    name: str
    media_type: str
    passages: tuple[Cut, ...]


def _directly(function: Callable[..., Parsed], *args: Any) -> Parsed:
    return function(*args)


def read(name: str, data: bytes, *, compute: Callable[..., Parsed] = _directly) -> Parsed:
    """The document's passages, at least one.

    compute: calls a function with arguments where it may take a second of CPU.
    Blocks: for a PDF until the process that reads it is done, at most PDF_S.
    Raises a refusal (422) with what is wrong with the file; Unavailable when too many PDFs are being read.
    """
    name = clean_name(name)
    media_type = _media_type_of(name, data)
    if media_type == PDF:
        return compute(_of_pages, name, pdf.pages_of(data))
    return compute(_of_text, name, media_type, data)


def _of_text(name: str, media_type: str, data: bytes) -> Parsed:
    text = _text_of(data)
    return _parsed(name, media_type, markdown_blocks(text) if media_type == MARKDOWN else plain_blocks(text))


def _of_pages(name: str, pages: Pages) -> Parsed:
    return _parsed(name, PDF, _page_blocks(pages.texts, pages.titles))


def _parsed(name: str, media_type: str, blocks: Iterator[Block]) -> Parsed:
    passages = tuple(cut(blocks))
    if not passages:
        raise PicturesOnly if media_type == PDF else EmptyDocument
    return Parsed(name, media_type, passages)


def clean_name(name: str) -> str:
    """The file's name without folders and control characters, cut before its ending; `document` if nothing is left."""
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(char for char in name if char.isprintable()).strip(" .")
    stem, ending = os.path.splitext(name)
    return (stem[: MAX_NAME_CHARS - len(ending)] + ending)[:MAX_NAME_CHARS] or "document"


def _media_type_of(name: str, data: bytes) -> str:
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return PDF
    media_type = MEDIA_TYPES.get(os.path.splitext(name)[1].lower())
    if media_type is None:
        raise UnknownKind
    if not data.strip():
        raise EmptyDocument
    if media_type == PDF:
        raise BrokenPdf
    return media_type


def _text_of(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotUtf8 from None
    if "\x00" in text:
        raise NotUtf8
    if len(text) > MAX_CHARS:
        raise TooMuchText
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")


def _page_blocks(pages: list[str], titles: list[list[Any]]) -> Iterator[Block]:
    """The pages' blocks in order, with the PDF's own headings where its table of contents names them."""
    running = _running_lines(pages)
    carried = ""
    for number, text in enumerate(pages, 1):
        lines = [line.rstrip() for line in _clean(text).split("\n") if line.strip() not in running]
        headings = {_squeezed(title): level for page, level, title in titles if page == number}
        blocks = list(_lines_as_blocks(lines, headings, number))
        if carried and blocks and blocks[0].kind == "text":
            blocks[0] = Block("text", f"{carried} {blocks[0].text}", page=number - 1)
            carried = ""
        elif carried:
            yield Block("text", carried, page=number - 1)
            carried = ""
        if blocks and blocks[-1].kind == "text" and number < len(pages) and blocks[-1].text[-1] not in '.!?:;…"”)':
            carried = blocks.pop().text
        yield from blocks
    if carried:
        yield Block("text", carried, page=len(pages))


def _lines_as_blocks(lines: list[str], headings: dict[str, int], page: int) -> Iterator[Block]:
    paragraph: list[str] = []
    for line in lines:
        level = headings.pop(_squeezed(line), None) if line.strip() else None
        if level is None:
            paragraph.append(line)
            continue
        yield from plain_blocks("\n".join(paragraph), page=page)
        yield Block("heading", line.strip(), level, page)
        paragraph = []
    yield from plain_blocks("\n".join(paragraph), page=page)


def _running_lines(pages: list[str]) -> frozenset[str]:
    """Lines that stand on most pages, and numbers alone in a line."""
    if len(pages) < MIN_PAGES_FOR_RUNNING_LINES:
        return frozenset()
    seen = Counter(line for page in pages for line in {line.strip() for line in page.split("\n")} if line)
    often = {line for line, count in seen.items() if count > RUNNING_LINE_SHARE * len(pages)}
    return frozenset(often | {line for line in seen if line.isdigit() and len(line) <= 4})


def _clean(text: str) -> str:
    """A page's text without NUL characters and broken surrogates, words parted at the end of a line in one piece again."""
    text = text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")
    return re.sub(r"(?<=[^\W\d_])[-\u00ad]\n(?=[a-zà-ÿ])", "", text)


def _squeezed(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text).casefold()
