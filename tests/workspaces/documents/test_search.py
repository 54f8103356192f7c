"""Searching what a workspace has stored, as an agent's store does."""

import threading

from server.workspaces.documents.actions import search
from tests.workspaces.documents.people import Person

NOTES = b"# Notes\n\nThe lighthouse is painted every spring by the harbour master.\n"


def test_the_passage_that_answers_comes_first_with_its_place(owner: Person) -> None:
    owner.add("notes.md", NOTES)
    document_id = owner.add().json["document"]["document_id"]

    found = search(owner.workspace_id, "How many documents may a workspace hold?", 8)

    first = found[0]
    assert first["text"] == "A workspace takes 500 documents."
    assert (first["document"], first["document_id"], first["heading"], first["position"]) == ("guide.md", document_id, "Guide › Limits", 0)
    assert first["coverage"] > 0.7
    assert [line["text"] for line in first["highlights"]] == ["A workspace takes 500 documents."]
    assert found == sorted(found, key=lambda each: -each["score"])


def test_a_new_document_is_found_at_once_and_a_deleted_one_no_more(owner: Person) -> None:
    owner.add()
    assert search(owner.workspace_id, "Who paints the lighthouse?")[0]["coverage"] < 0.5

    document_id = owner.add("notes.md", NOTES).json["document"]["document_id"]
    assert search(owner.workspace_id, "Who paints the lighthouse?")[0]["document"] == "notes.md"

    owner.delete(document_id)
    assert all(each["document"] == "guide.md" for each in search(owner.workspace_id, "Who paints the lighthouse?"))


def test_another_workspace_is_never_found(owner: Person) -> None:
    other = owner.call("POST", "/workspace").json["workspace"]["workspace_id"]
    owner.add()

    assert search(other, "How many documents?") == []


def test_without_a_question_each_document_is_shown_by_its_beginning(owner: Person) -> None:
    owner.add()
    owner.add("notes.md", NOTES)

    for nothing in ("*", "", None):
        assert [(each["document"], each["position"], each["coverage"]) for each in search(owner.workspace_id, nothing)] == [
            ("guide.md", 0, 0.0),
            ("notes.md", 0, 0.0),
        ]


def test_words_that_no_passage_has_give_one_beginning_that_covers_nothing(owner: Person) -> None:
    owner.add()
    owner.add("notes.md", NOTES)

    assert [each["coverage"] for each in search(owner.workspace_id, "xylophone")] == [0.0]


def test_a_workspace_that_is_not_there_holds_nothing(app: object) -> None:
    assert search("nonsense", "anything") == []
    assert search("00000000-0000-7000-8000-000000000000", "anything") == []


def test_many_ask_at_once_while_documents_come_and_go(owner: Person) -> None:
    owner.add()
    failures: list[BaseException] = []

    def ask() -> None:
        with owner.app.app_context():
            try:
                for _ in range(10):
                    assert search(owner.workspace_id, "How many documents does a workspace take?")[0]["document"] == "guide.md"
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(5):
        owner.delete(owner.add(f"{number}.txt", f"Note number {number}.".encode()).json["document"]["document_id"])
    for thread in threads:
        thread.join(60)

    assert failures == []
