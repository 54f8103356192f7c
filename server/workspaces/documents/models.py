"""The tables of documents, and what is read of them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from server.kit.clock import new_id, now
from server.kit.db import Base, db

__all__ = ["Document", "Passage", "beginnings", "document_in", "documents_of", "names_of", "passages_of", "passages_with", "same_file"]

READ_AT_ONCE = 2000


class Document(Base):
    """A document of a workspace. Its file is not kept: its text is, in passages."""

    __tablename__ = "documents"
    __table_args__ = (sa.UniqueConstraint("workspace_id", "sha256"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"))
    # Who added it; None when that account is gone.
    added_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"), index=True)
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    # Of the file's bytes, in hexadecimal.
    sha256: Mapped[str]
    passages: Mapped[int]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)


class Passage(Base):
    """A piece of a document that is found, read and cited by itself. Written once with its document, never changed."""

    __tablename__ = "passages"
    __table_args__ = (sa.UniqueConstraint("document_id", "position"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    document_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("documents.id", ondelete="CASCADE"))
    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    # From 0 in its document.
    position: Mapped[int]
    # The path of headings to it; empty where there are none.
    heading: Mapped[str]
    # From 1; None where the document has no pages.
    page: Mapped[int | None]
    text: Mapped[str]


def documents_of(workspace_id: uuid.UUID) -> Sequence[Document]:
    """The documents of a workspace, newest first."""
    query = sa.select(Document).where(Document.workspace_id == workspace_id)
    return db.session.scalars(query.order_by(Document.created_at.desc(), Document.id.desc())).all()


def document_in(workspace_id: uuid.UUID, document_id: uuid.UUID | None) -> Document | None:
    """The document, if it is in this workspace."""
    return db.session.scalar(sa.select(Document).where(Document.id == document_id, Document.workspace_id == workspace_id))


def same_file(workspace_id: uuid.UUID, sha256: str) -> Document | None:
    """The document of this workspace that was made from the same bytes."""
    return db.session.scalar(sa.select(Document).where(Document.workspace_id == workspace_id, Document.sha256 == sha256))


def names_of(session: Session, workspace_id: uuid.UUID) -> dict[uuid.UUID, str]:
    """The names of a workspace's documents by id, in the order in which they were added."""
    query = sa.select(Document.id, Document.name).where(Document.workspace_id == workspace_id).order_by(Document.created_at, Document.id)
    return {row.id: row.name for row in session.execute(query)}


def passages_of(session: Session, document_ids: Collection[uuid.UUID]) -> Iterator[tuple[uuid.UUID, list[tuple[uuid.UUID, str, str]]]]:
    """The passages of documents as (id, heading, text), document by document; read in portions."""
    columns = sa.select(Passage.document_id, Passage.id, Passage.heading, Passage.text).where(Passage.document_id.in_(document_ids))
    rows = session.execute(columns.order_by(Passage.document_id, Passage.position).execution_options(yield_per=READ_AT_ONCE))
    document_id: uuid.UUID | None = None
    passages: list[tuple[uuid.UUID, str, str]] = []
    for row in rows:
        if document_id is not None and row.document_id != document_id:
            yield document_id, passages
            passages = []
        document_id = row.document_id
        passages.append((row.id, row.heading, row.text))
    if document_id is not None:
        yield document_id, passages


def passages_with(session: Session, names: Collection[uuid.UUID], ids: Collection[uuid.UUID]) -> Sequence[Passage]:
    """Those of the passages that are still there, of these documents only."""
    return session.scalars(sa.select(Passage).where(Passage.id.in_(ids), Passage.document_id.in_(names))).all()


def beginnings(session: Session, workspace_id: uuid.UUID, limit: int) -> Sequence[tuple[Passage, str]]:
    """The first passage of each document and the document's name, oldest document first."""
    query = sa.select(Passage, Document.name).join(Document, Document.id == Passage.document_id)
    query = query.where(Document.workspace_id == workspace_id, Passage.position == 0)
    return [(passage, name) for passage, name in session.execute(query.order_by(Document.created_at, Document.id).limit(limit))]
