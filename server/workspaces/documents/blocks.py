"""A text as blocks: headings, paragraphs, list items, tables, code. Pure.

Markdown is read by its marks; plain text by blank lines, underlined and numbered headings, and the same list marks.
The texts are by strangers: every pattern and loop here takes time in proportion to the text.
Source: CommonMark 0.31, the parts of it that people write; GitHub's tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Block", "Kind", "markdown_blocks", "plain_blocks", "sentences"]

Kind = Literal["heading", "text", "item", "table", "code"]

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(\S.*)$")
_UNDERLINE = re.compile(r"^ {0,3}(={3,}|-{3,})\s*$")
_RULE = re.compile(r"^ {0,3}([-*_])(\s*\1){2,}\s*$")
_ITEM = re.compile(r"^\s*(?:[-*+•‣▪]|\d{1,3}[.)])\s+\S")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_TAG_LINE = re.compile(r"^\s*</?[a-zA-Z][^>]*>\s*$")
_LINK_HERE = re.compile(r"\[([^\[\]\n]{0,300})\]\((?!https?://|mailto:)[^()\n]{0,500}\)")
_PICTURE = re.compile(r"!\[([^\[\]\n]{0,300})\]\([^()\n]{0,500}\)")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+([^\W\d_].{1,75})$")

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]*_]*\s+(?=[\"'“‘(\[*_`]*[^\W_a-z])|(?<=[。！？])|\n+")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|cf|vs|Dr|Mr|Mrs|Ms|Prof|St|No|Nr|Fig|Abb|approx|z\.B|d\.h|bzw|ca|[A-Z])\.$")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document that is read as one. level: of a heading, 1 is the highest. page: from 1, None where there are none."""

    kind: Kind
    text: str
    level: int = 0
    page: int | None = None


def markdown_blocks(text: str) -> Iterator[Block]:
    """The blocks of a Markdown text, in order; links to neighbouring files and pictures become their words."""
    lines = _FRONT_MATTER.sub("", _without_comments(text), count=1).split("\n")
    at = 0
    while at < len(lines):
        block, at = _next_block(lines, at)
        if block is not None and block.text.strip():
            yield block


def plain_blocks(text: str, *, page: int | None = None) -> Iterator[Block]:
    """The blocks of a plain text: paragraphs keep their words, not their line breaks."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = [line.rstrip() for line in paragraph.strip("\n").split("\n")]
        at = 0
        while len(lines) > at + 1 and _UNDERLINE.match(lines[at + 1]):
            yield Block("heading", lines[at].strip(), 1 if "=" in lines[at + 1] else 2, page)
            at += 2
        lines = lines[at:] or [""]
        numbered = _NUMBERED.match(lines[0].strip()) if len(lines) == 1 else None
        if numbered and not lines[0].rstrip().endswith((".", ":", ";", ",")):
            yield Block("heading", numbered[2], 1 + numbered[1].count("."), page)
        elif len(lines) == 1 and _is_shouted(lines[0]):
            yield Block("heading", lines[0].strip().capitalize(), 1, page)
        else:
            yield from _plain_paragraph(lines, page)


def sentences(text: str) -> list[str]:
    """A paragraph cut after its sentences; what stands between backticks is never cut, an abbreviation ends nothing."""
    text = text.strip()
    found: list[str] = []
    start = seen = ticks = 0
    for end in _SENTENCE_END.finditer(text):
        ticks += text.count("`", seen, end.end())
        seen = end.end()
        if ticks % 2 or _ABBREVIATION.search(text[max(start, end.start() - 12) : end.start()]):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    return [sentence for sentence in [*found, text[start:].strip()] if sentence]


def _next_block(lines: list[str], at: int) -> tuple[Block | None, int]:
    line = lines[at]
    if not line.strip() or _TAG_LINE.match(line):
        return None, at + 1
    if fence := _FENCE.match(line):
        return _code(lines, at, fence[1])
    if heading := _HEADING.match(line):
        return Block("heading", _words_of(heading[2].rstrip().rstrip("#").rstrip()), len(heading[1])), at + 1
    if _RULE.match(line):
        return None, at + 1
    if at + 1 < len(lines) and "|" in line and _TABLE_RULE.match(lines[at + 1]) and "-" in lines[at + 1]:
        return _table(lines, at)
    if line.startswith(("    ", "\t")) and not _ITEM.match(line):
        return _indented(lines, at)
    if _ITEM.match(line):
        return _item(lines, at)
    return _paragraph(lines, at)


def _code(lines: list[str], at: int, fence: str) -> tuple[Block, int]:
    end = at + 1
    while end < len(lines) and not lines[end].strip().startswith(fence):
        end += 1
    body = lines[at : min(end, len(lines))]
    return Block("code", "\n".join([*body, fence])), end + 1


def _table(lines: list[str], at: int) -> tuple[Block, int]:
    end = at
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return Block("table", "\n".join(_words_of(line.strip()) for line in lines[at:end])), end


def _indented(lines: list[str], at: int) -> tuple[Block, int]:
    end = at
    while end < len(lines) and (lines[end].startswith(("    ", "\t")) or not lines[end].strip()):
        end += 1
    body = "\n".join(line.removeprefix("    ") for line in lines[at:end]).rstrip()
    return Block("code", f"```\n{body}\n```"), end


def _item(lines: list[str], at: int) -> tuple[Block, int]:
    """One item of a list with all that is indented under it, nested items and code included."""
    indent = _indent(lines[at])
    end = at + 1
    while end < len(lines):
        blank = not lines[end].strip()
        if blank and not (end + 1 < len(lines) and lines[end + 1].strip() and _indent(lines[end + 1]) > indent):
            break
        if not blank and _indent(lines[end]) <= indent and (_ITEM.match(lines[end]) or _begins_other(lines[end])):
            break
        end += 1
    text = "\n".join(line[indent:] if line[:indent].isspace() or indent == 0 else line for line in lines[at:end])
    return Block("item", _words_of(_unwrapped(text))), end


def _paragraph(lines: list[str], at: int) -> tuple[Block, int]:
    end = at + 1
    while end < len(lines) and lines[end].strip():
        underline = _UNDERLINE.match(lines[end])
        if underline:
            title = " ".join(line.strip() for line in lines[at:end])
            return Block("heading", _words_of(title), 1 if "=" in underline[1] else 2), end + 1
        if _ITEM.match(lines[end]) or _begins_other(lines[end]):
            break
        end += 1
    text = " ".join(line.strip().removeprefix(">").strip() for line in lines[at:end])
    return Block("text", _words_of(text)), end


def _begins_other(line: str) -> bool:
    return bool(_FENCE.match(line) or _HEADING.match(line))


def _unwrapped(item: str) -> str:
    """An item whose soft line breaks are spaces; nested items and code keep their lines."""
    if "```" in item or "~~~" in item:
        return item
    joined: list[list[str]] = []
    for line in item.split("\n"):
        if joined and line.strip() and not _ITEM.match(line):
            joined[-1].append(line.strip())
        elif line.strip():
            joined.append([line.rstrip()])
    return "\n".join(" ".join(parts) for parts in joined)


def _plain_paragraph(lines: list[str], page: int | None) -> Iterator[Block]:
    text: list[str] = []
    items: list[list[str]] = []
    for line in lines:
        if _ITEM.match(line):
            items.append([line.strip()])
        elif items:
            items[-1].append(line.strip())
        else:
            text.append(line.strip())
    if any(text):
        yield Block("text", " ".join(part for part in text if part), page=page)
    for item in items:
        yield Block("item", " ".join(item), page=page)


def _without_comments(text: str) -> str:
    """Markdown without its HTML comments; one that does not end takes nothing with it."""
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join([*kept, text[at:]])


def _is_shouted(line: str) -> bool:
    """A line in capitals, as old texts set their headings."""
    words = line.strip()
    return 4 <= len(words) <= 70 and words.isupper() and sum(char.isalpha() for char in words) > len(words) / 2


def _words_of(text: str) -> str:
    return _LINK_HERE.sub(r"\1", _PICTURE.sub(r"\1", text))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
