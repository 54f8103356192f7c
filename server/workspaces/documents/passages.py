"""Blocks as passages: pieces of a document that can be found, read and cited by themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from server.workspaces.documents.blocks import Block, sentences

__all__ = ["Cut", "cut"]

FULL_CHARS = 600  # a passage of so many characters takes no more sentences than fit into MAX_CHARS
MAX_CHARS = 900
MAX_WHOLE_CHARS = 1800  # code and tables stay whole up to here
MAX_HEADING_CHARS = 300
TAIL_CHARS = 150  # what is left of a section, if so short, goes to the passage before it
SEPARATOR = " › "


@dataclass(frozen=True, slots=True)
class Cut:
    """A passage. position: from 0 in its document. heading: the path to it. page: where it begins, from 1."""

    position: int
    heading: str
    text: str
    page: int | None = None


@dataclass(slots=True)
class _Open:
    """The passage that is being filled."""

    blocks: list[Block] = field(default_factory=list)
    chars: int = 0

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.chars += len(block.text) + 2

    def takes(self, block: Block) -> bool:
        """Whether the block still belongs here: it fits, or what came before only leads in to it."""
        if not self.blocks:
            return True
        if block.page != self.blocks[0].page and self.chars >= TAIL_CHARS:
            return False
        whole = block.kind in ("code", "table")
        limit = MAX_WHOLE_CHARS if whole and self.leads_in() else MAX_CHARS
        return self.chars + len(block.text) <= limit and (self.chars < FULL_CHARS or whole or block.kind == "item" or len(block.text) < 200)

    def leads_in(self) -> bool:
        return self.blocks[-1].kind == "text" and (self.blocks[-1].text.rstrip().endswith(":") or self.chars < FULL_CHARS)


def cut(blocks: Iterable[Block]) -> list[Cut]:
    """The passages of a document, in order. A passage never holds text from under two headings."""
    made: list[Cut] = []
    path: list[tuple[int, str]] = []
    current = _Open()

    def close() -> None:
        nonlocal current
        if current.blocks:
            heading = SEPARATOR.join(title for _, title in path)[:MAX_HEADING_CHARS]
            _append(made, Cut(len(made), heading, _joined(current.blocks), current.blocks[0].page))
        current = _Open()

    for block in blocks:
        if block.kind == "heading":
            close()
            path = [step for step in path if step[0] < block.level] + [(block.level, block.text)]
            continue
        for piece in _pieces(block):
            if not current.takes(piece):
                lead = current.blocks.pop() if len(current.blocks) > 1 and _announces(current.blocks[-1], piece) else None
                close()
                if lead is not None:
                    current.add(lead)
            current.add(piece)
    close()
    return made


def _append(made: list[Cut], cut_: Cut) -> None:
    before = made[-1] if made else None
    is_tail = before is not None and len(cut_.text) < TAIL_CHARS and before.heading == cut_.heading and "|\n|" not in cut_.text
    if before is None or not is_tail or len(before.text) + len(cut_.text) > MAX_CHARS + TAIL_CHARS:
        made.append(cut_)
        return
    glue = "\n" if cut_.text[:1] in "-*+0123456789" else "\n\n"
    made[-1] = Cut(before.position, before.heading, before.text + glue + cut_.text, before.page)


def _announces(block: Block, following: Block) -> bool:
    return block.kind == "text" and following.kind != "text" and block.text.rstrip().endswith(":") and len(block.text) < 300


def _joined(blocks: list[Block]) -> str:
    """The text of a passage; items of a list follow each other without a gap."""
    text = blocks[0].text
    for before, block in pairwise(blocks):
        text += ("\n" if before.kind == block.kind == "item" else "\n\n") + block.text
    return text


def _pieces(block: Block) -> Iterator[Block]:
    """A block in pieces that a passage can hold; most blocks are one."""
    limit = MAX_WHOLE_CHARS if block.kind == "code" else MAX_CHARS
    if len(block.text) <= limit:
        yield block
    elif block.kind == "table":
        yield from (Block("table", text, page=block.page) for text in _table_pieces(block.text.split("\n")))
    elif block.kind == "code":
        yield from (Block("code", text, page=block.page) for text in _code_pieces(block.text.split("\n")))
    else:
        parts = [part for sentence in sentences(block.text) for part in _bounded(sentence)]
        yield from (Block(block.kind, text, page=block.page) for text in _filled(parts, " "))


def _table_pieces(rows: list[str]) -> Iterator[str]:
    """A long table in pieces that each begin with its head."""
    head = "\n".join(rows[:2])[:MAX_CHARS]
    body = [part for row in rows[2:] for part in _bounded(row)]
    for piece in _filled(body, "\n", room=max(MAX_CHARS - len(head), MAX_CHARS // 2)):
        yield f"{head}\n{piece}"


def _code_pieces(lines: list[str]) -> Iterator[str]:
    opening, closing = lines[0], lines[-1]
    body = [part for line in lines[1:-1] for part in _bounded(line)]
    for piece in _filled(body, "\n", room=MAX_WHOLE_CHARS):
        yield f"{opening}\n{piece}\n{closing}"


def _filled(parts: list[str], glue: str, *, room: int = MAX_CHARS) -> Iterator[str]:
    """The parts, as many together as fit into the room."""
    text = ""
    for part in parts:
        if text and len(text) + len(glue) + len(part) > room:
            yield text
            text = part
        else:
            text = f"{text}{glue}{part}" if text else part
    if text:
        yield text


def _bounded(text: str) -> Iterator[str]:
    """A text that is longer than a passage, cut at spaces, or where there are none, anywhere."""
    start = 0
    while len(text) - start > MAX_CHARS:
        at = text.rfind(" ", start + MAX_CHARS // 2, start + MAX_CHARS)
        at = at if at > 0 else start + MAX_CHARS
        yield text[start:at].rstrip()
        start = at + 1 if text[at] == " " else at
    if text[start:].strip():
        yield text[start:].strip()
