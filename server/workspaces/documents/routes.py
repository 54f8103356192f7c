"""The door of a workspace's documents."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from werkzeug.datastructures import FileStorage

from server.accounts.schemas import Message
from server.accounts.who import me, settings, signed_in
from server.kit.errors import Invalid
from server.kit.http import answer, describe
from server.workspaces.documents import actions
from server.workspaces.documents.schemas import Added, Listed

__all__ = ["door"]

door = Blueprint("documents", __name__)


@door.post("/workspace/<workspace_id>/document")
@signed_in
@answer(Added)
def add_document(workspace_id: str) -> dict[str, Any]:
    """Add a document: multipart, the file in the field `file`.

    Text, Markdown or PDF. The same file a second time is answered with the document that there is.
    Refused: 403 for a viewer, 413 if it is too large, 422 with what is wrong with the file.
    """
    upload = _upload()
    data = upload.stream.read(settings().max_document_bytes + 1)
    document = actions.add(workspace_id, me(), upload.filename or "", data, settings=settings())
    return {"msg": "Document added", "document": document}


@door.get("/workspace/<workspace_id>/documents")
@signed_in
@answer(Listed)
def list_documents(workspace_id: str) -> dict[str, Any]:
    """The documents of a workspace, newest first."""
    return {"documents": actions.documents(workspace_id, me())}


@door.delete("/workspace/<workspace_id>/document/<document_id>")
@signed_in
@answer(Message)
def delete_document(workspace_id: str, document_id: str) -> dict[str, Any]:
    """Delete a document; its passages are not found any more. Refused: 403 for a viewer."""
    actions.remove(workspace_id, me(), document_id)
    return {"msg": "Document deleted"}


def _upload() -> FileStorage:
    """The file of the request. Refused: 422 if there is none."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        raise Invalid("Missing file: send it as multipart/form-data in the field `file`.", fields={"file": ["Missing file."]})
    return upload


describe(add_document, files=True)
