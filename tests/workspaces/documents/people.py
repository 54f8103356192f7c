"""People in front of a workspace, for tests of its documents."""

import io
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"
GUIDE = b"# Guide\n\n## Limits\n\nA workspace takes 500 documents.\n\n## Backup\n\nA backup is one file.\n"


@dataclass(frozen=True)
class Person:
    """Somebody signed in, in front of one workspace."""

    app: Flask
    email: str
    token: str
    workspace_id: str

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        return self.app.test_client().open(path, method=method, headers={"Authorization": f"Bearer {self.token}"}, **options)

    def add(self, name: str = "guide.md", data: bytes = GUIDE) -> TestResponse:
        upload = {"file": (io.BytesIO(data), name)}
        return self.call("POST", f"/workspace/{self.workspace_id}/document", data=upload, content_type="multipart/form-data")

    def names(self) -> list[str]:
        return [each["name"] for each in self.call("GET", f"/workspace/{self.workspace_id}/documents").json["documents"]]

    def delete(self, document_id: str) -> TestResponse:
        return self.call("DELETE", f"/workspace/{self.workspace_id}/document/{document_id}")


def person(app: Flask, name: str, workspace_id: str = "") -> Person:
    client, email = app.test_client(), f"{name}@example.com"
    client.post("/register", json={"email": email, "password": PASSWORD})
    token = client.post("/auth/login", json={"email": email, "password": PASSWORD}).json["access_token"]
    return Person(app, email, token, workspace_id)
