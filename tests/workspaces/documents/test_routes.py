import io
import threading
from dataclasses import replace

import pytest
from flask import Flask

from server.workspaces.documents import actions, parsing
from tests.workspaces.documents import pdfs
from tests.workspaces.documents.people import GUIDE, Person, person


def invited(owner: Person, role: str) -> Person:
    guest = person(owner.app, role, owner.workspace_id)
    answer = owner.call("POST", f"/workspace/{owner.workspace_id}/members", json={"email": guest.email, "role": role})
    assert answer.status_code == 200
    return guest


def test_a_document_is_added_listed_and_deleted(owner: Person) -> None:
    added = owner.add()

    assert added.status_code == 200
    assert added.json["msg"] == "Document added"
    document = added.json["document"]
    assert document["created_at"].endswith("Z")
    assert {key: document[key] for key in ("name", "media_type", "size_bytes", "passages")} == {
        "name": "guide.md",
        "media_type": "text/markdown",
        "size_bytes": len(GUIDE),
        "passages": 2,
    }
    assert owner.call("GET", f"/workspace/{owner.workspace_id}/documents").json == {"documents": [document]}
    gone = owner.delete(document["document_id"])
    assert (gone.status_code, gone.json) == (200, {"msg": "Document deleted"})
    assert owner.names() == []


def test_the_newest_document_is_listed_first(owner: Person) -> None:
    owner.add("one.txt", b"one")
    owner.add("two.txt", b"two")

    assert owner.names() == ["two.txt", "one.txt"]


def test_a_pdf_is_added(owner: Person) -> None:
    assert owner.add("guide.pdf", pdfs.pdf(["A backup is one file."])).json["document"]["media_type"] == "application/pdf"


def test_the_same_file_again_is_answered_with_the_document_that_there_is(owner: Person) -> None:
    first = owner.add().json
    again = owner.add("another name.md")

    assert (again.status_code, again.json) == (200, first)
    assert owner.names() == ["guide.md"]


def test_the_same_file_added_many_times_at_once_is_one_document(owner: Person) -> None:
    gate, answers = threading.Barrier(8), []

    def add() -> None:
        gate.wait(10)
        answers.append(owner.add().json["document"]["document_id"])

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(answers) == 8
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("page.html", b"<p>x</p>", parsing.UnknownKind.__doc__),
        ("empty.md", b"", parsing.EmptyDocument.__doc__),
        ("latin.txt", b"Gr\xf6\xdfe", parsing.NotUtf8.__doc__),
        ("broken.pdf", b"%PDF-1.7\nnothing", "The PDF is damaged and cannot be read."),
        ("secret.pdf", pdfs.with_password(pdfs.pdf(["x"]), "p"), "The PDF is encrypted; add it without a password."),
    ],
)
def test_a_file_that_cannot_be_read_is_a_422_and_nothing_is_kept(owner: Person, name: str, data: bytes, message: str) -> None:
    answer = owner.add(name, data)

    assert (answer.status_code, answer.json["msg"]) == (422, message)
    assert owner.names() == []


def test_a_request_without_a_file_is_a_422(owner: Person) -> None:
    path = f"/workspace/{owner.workspace_id}/document"

    for answer in (owner.call("POST", path), owner.call("POST", path, json={}), owner.call("POST", path, data={"file": "text"})):
        assert answer.status_code == 422
        assert answer.json["errors"] == {"file": ["Missing file."]}


def test_a_document_that_is_too_large_is_a_413(owner: Person) -> None:
    with limits(owner.app, max_document_bytes=100):
        answer = owner.add("long.txt", b"x" * 101)
        assert (answer.status_code, answer.json["msg"]) == (413, "The document is larger than 100 bytes.")
        assert owner.add("fits.txt", b"x" * 100).status_code == 200


def test_a_body_that_is_too_large_is_a_413(owner: Person) -> None:
    size = owner.app.config["MAX_CONTENT_LENGTH"] + 1

    assert owner.add("huge.txt", b"x" * size).status_code == 413


def test_a_full_workspace_takes_no_more(owner: Person) -> None:
    with limits(owner.app, max_documents=1):
        assert owner.add("one.txt", b"one").status_code == 200
        answer = owner.add("two.txt", b"two")
        assert (answer.status_code, answer.json["msg"]) == (422, actions.TooManyDocuments.__doc__)
        assert owner.add("one again.txt", b"one").status_code == 200
    assert owner.names() == ["one.txt"]


def test_the_last_place_is_given_once(owner: Person) -> None:
    gate, statuses = threading.Barrier(6), []

    def add(number: int) -> None:
        gate.wait(10)
        statuses.append(owner.add(f"{number}.txt", f"text {number}".encode()).status_code)

    with limits(owner.app, max_documents=2):
        threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert sorted(statuses) == [200, 200, 422, 422, 422, 422]


def test_an_editor_may_add_and_delete_and_a_viewer_may_read(owner: Person) -> None:
    editor, viewer = invited(owner, "editor"), invited(owner, "viewer")
    document_id = editor.add().json["document"]["document_id"]

    assert viewer.names() == ["guide.md"]
    for refused in (viewer.add("own.txt", b"own"), viewer.delete(document_id)):
        assert (refused.status_code, refused.json["msg"]) == (403, "User does not have access to the workspace")
    assert editor.delete(document_id).status_code == 200


def test_a_stranger_sees_nothing(owner: Person) -> None:
    document_id = owner.add().json["document"]["document_id"]
    stranger = person(owner.app, "stranger", owner.workspace_id)

    answers = [stranger.add(), stranger.delete(document_id), stranger.call("GET", f"/workspace/{owner.workspace_id}/documents")]

    assert {answer.status_code for answer in answers} == {403}
    assert owner.names() == ["guide.md"]


@pytest.mark.parametrize("workspace_id", ["00000000-0000-7000-8000-000000000000", "nonsense", "%00"])
def test_a_workspace_that_is_not_there_is_a_404(owner: Person, workspace_id: str) -> None:
    lost = replace(owner, workspace_id=workspace_id)

    for answer in (lost.add(), lost.delete("x"), lost.call("GET", f"/workspace/{workspace_id}/documents")):
        assert (answer.status_code, answer.json["msg"]) == (404, "Workspace not found")


def test_a_document_of_another_workspace_is_not_there(owner: Person) -> None:
    other = replace(owner, workspace_id=owner.call("POST", "/workspace").json["workspace"]["workspace_id"])
    document_id = other.add().json["document"]["document_id"]

    for wrong in (document_id, "nonsense", "00000000-0000-7000-8000-000000000000"):
        answer = owner.delete(wrong)
        assert (answer.status_code, answer.json["msg"]) == (404, "Document not found")
    assert other.names() == ["guide.md"]


def test_nobody_comes_in_without_signing_in(owner: Person) -> None:
    client, path = owner.app.test_client(), f"/workspace/{owner.workspace_id}/document"

    answers = [client.post(path, data={"file": (io.BytesIO(GUIDE), "guide.md")}), client.get(path + "s"), client.delete(path + "/x")]

    assert {answer.status_code for answer in answers} == {401}


def test_documents_go_with_their_workspace(owner: Person) -> None:
    owner.add()
    owner.call("DELETE", f"/workspace/{owner.workspace_id}")

    assert actions.search(owner.workspace_id, "*") == []


class limits:
    """Inside, the server has these settings."""

    def __init__(self, app: Flask, **values: int) -> None:
        self.app, self.before = app, app.config["SETTINGS"]
        self.inside = replace(self.before, **values)

    def __enter__(self) -> None:
        self.app.config["SETTINGS"] = self.inside

    def __exit__(self, *_: object) -> None:
        self.app.config["SETTINGS"] = self.before
