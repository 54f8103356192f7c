"""What is done with the documents of a workspace: add, remove, search."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.accounts.models import User
from server.kit import offload
from server.kit.clock import new_id
from server.kit.db import commit, db
from server.kit.errors import Invalid, NotFound, TooLarge
from server.kit.http import parse_id
from server.settings import Settings
from server.workspaces.access import access
from server.workspaces.documents import models, parsing
from server.workspaces.documents.models import Document, Passage
from server.workspaces.documents.passages import Cut
from server.workspaces.documents.ranking import Found, as_value, rank
from server.workspaces.documents.retrieval import Index, asked_of
from server.workspaces.documents.shelf import Shelf
from server.workspaces.models import Workspace

__all__ = ["DocumentNotFound", "DocumentTooLarge", "TooManyDocuments", "add", "documents", "remove", "search"]

EVERYTHING = "*"
CANDIDATES = 40  # passages whose text is read for a question
SHELF_PASSAGES = 100_000  # about 1.5 kB each

# A memo of the database: what is on it follows from the ids of the documents alone, and may be dropped at any time.
_SHELF = Shelf(SHELF_PASSAGES)


class DocumentNotFound(NotFound):
    """Document not found"""


class DocumentTooLarge(TooLarge):
    """The document is larger than a workspace takes."""


class TooManyDocuments(Invalid):
    """The workspace holds as many documents as it may; remove one first."""


def documents(workspace_id: str, user: User) -> Sequence[Document]:
    """The workspace's documents, newest first. Refused: 404, 403 as `access` says."""
    return models.documents_of(access(workspace_id, user, need="viewer").id)


def add(workspace_id: str, user: User, name: str, data: bytes, *, settings: Settings) -> Document:
    """The document made of this file, searchable at once; the one that there is already, if it was made of the same bytes.

    No transaction is open while the file is read, which may take seconds. Refused: 404, 403, DocumentTooLarge (413),
    TooManyDocuments (422), and what `parsing.read` finds wrong with the file (422).
    """
    workspace = access(workspace_id, user, need="editor")
    if len(data) > settings.max_document_bytes:
        raise DocumentTooLarge(f"The document is larger than {settings.max_document_bytes:,} bytes.")
    sha256 = hashlib.sha256(data).hexdigest()
    existing = models.same_file(workspace.id, sha256)
    if existing is not None:
        return existing
    _refuse_full(workspace.id, settings.max_documents)
    commit()
    parsed = parsing.read(name, data, compute=offload.run)
    return _kept(workspace_id, user, parsed, sha256=sha256, size_bytes=len(data), max_documents=settings.max_documents)


def remove(workspace_id: str, user: User, document_id: str) -> None:
    """The document is gone, and is not found any more. Refused: 404, 403."""
    workspace = access(workspace_id, user, need="editor")
    document = models.document_in(workspace.id, parse_id(document_id))
    if document is None:
        raise DocumentNotFound
    db.session.execute(sa.delete(Document).where(Document.id == document.id))
    commit()


def search(workspace_id: str, query: str | None, limit: int = 8) -> list[dict[str, Any]]:
    """The passages of a workspace that answer a question best, best first; empty if the workspace holds no documents.

    query: a question. `*`, and nothing at all, asks how each document begins; so does one that no passage has a word of, which
    is answered with one beginning of `coverage` 0.
    Each: `text`, `document` (its name), `document_id`, `heading`, `page`, `position`, `passage_id`, `score` (0 to 1),
    `coverage` (the share of the question's meaning that it covers, 0 to 1) and `highlights`, its lines, rows and code in order
    with a score each. Asks nobody's permission: its caller acts for the workspace. Blocks on the database, in a session of its
    own; the first question after a document was added also costs its indexing.
    """
    known = parse_id(str(workspace_id))
    if known is None:
        return []
    question = (query or "").strip()
    with Session(db.engine) as session:
        if question in ("", EVERYTHING):
            return _beginnings(session, known, limit)
        return _answers(session, known, question, limit) or _beginnings(session, known, 1)


def _refuse_full(workspace_id: uuid.UUID, max_documents: int) -> None:
    held = db.session.scalar(sa.select(sa.func.count()).select_from(Document).where(Document.workspace_id == workspace_id))
    if held is not None and held >= max_documents:
        raise TooManyDocuments


def _kept(workspace_id: str, user: User, parsed: parsing.Parsed, *, sha256: str, size_bytes: int, max_documents: int) -> Document:
    """The parsed document, stored; one upload at a time for each workspace. Commits."""
    workspace = access(workspace_id, user, need="editor")
    db.session.execute(sa.select(Workspace.id).where(Workspace.id == workspace.id).with_for_update())
    existing = models.same_file(workspace.id, sha256)
    if existing is not None:
        commit()
        return existing
    _refuse_full(workspace.id, max_documents)
    document = Document(
        id=new_id(),
        workspace_id=workspace.id,
        added_by=user.id,
        name=parsed.name,
        media_type=parsed.media_type,
        size_bytes=size_bytes,
        sha256=sha256,
        passages=len(parsed.passages),
    )
    db.session.add(document)
    db.session.flush()
    db.session.execute(sa.insert(Passage), [_row(document, cut) for cut in parsed.passages])
    commit()
    return document


def _row(document: Document, cut: Cut) -> dict[str, Any]:
    return {
        "id": new_id(),
        "document_id": document.id,
        "workspace_id": document.workspace_id,
        "position": cut.position,
        "heading": cut.heading,
        "page": cut.page,
        "text": cut.text,
    }


# -- searching ---------------------------------------------------------------------------------------------------------


def _answers(session: Session, workspace_id: uuid.UUID, question: str, limit: int) -> list[dict[str, Any]]:
    names = models.names_of(session, workspace_id)
    if not names:
        return []
    with _SHELF.index_of(workspace_id) as index:
        _bring_up_to_date(index, session, names)
        asked = asked_of(index, question)
        best = dict(index.best(asked, CANDIDATES))
    stored = models.passages_with(session, names.keys(), best.keys())
    candidates = [(_found(passage, names[passage.document_id]), best[passage.id]) for passage in stored]
    return [{**as_value(hit.found, hit), "score": hit.score} for hit in rank(asked, candidates, limit)]


def _beginnings(session: Session, workspace_id: uuid.UUID, limit: int) -> list[dict[str, Any]]:
    beginnings = models.beginnings(session, workspace_id, limit)
    return [{**as_value(_found(passage, name)), "score": 0.0} for passage, name in beginnings]


def _bring_up_to_date(index: Index, session: Session, names: dict[uuid.UUID, str]) -> None:
    """Let the index hold these documents and no others."""
    for gone in index.documents - names.keys():
        index.remove(gone)
    missing = names.keys() - index.documents
    if missing:
        for document_id, passages in models.passages_of(session, missing):
            index.add(document_id, names[document_id], passages)


def _found(passage: Passage, name: str) -> Found:
    return Found(
        passage_id=str(passage.id),
        document_id=str(passage.document_id),
        document=name,
        heading=passage.heading,
        page=passage.page,
        position=passage.position,
        text=passage.text,
    )
