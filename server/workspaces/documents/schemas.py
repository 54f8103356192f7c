"""What the documents' routes answer with."""

from __future__ import annotations

from marshmallow import Schema, fields

from server.accounts.schemas import Message, Moment

__all__ = ["Added", "Listed"]


class DocumentShown(Schema):
    """A document, as it is listed."""

    document_id = fields.UUID(attribute="id", required=True)
    name = fields.String(required=True)
    media_type = fields.String(required=True, metadata={"description": "text/plain, text/markdown or application/pdf"})
    size_bytes = fields.Integer(required=True)
    passages = fields.Integer(required=True, metadata={"description": "Pieces that can be found and cited."})
    created_at = Moment(required=True)


class Added(Message):
    """A document that is now in the workspace."""

    document = fields.Nested(DocumentShown, required=True)


class Listed(Schema):
    """The documents of a workspace."""

    documents = fields.List(fields.Nested(DocumentShown), required=True)
