"""How well the documents agent answers questions about this project's own pages: the bar it has to keep."""

import json

import pytest

from benchmarks.documents.run import QUESTIONS, Outcome, library, outcomes

ANSWERABLE, UNANSWERABLE = 50, 10
RIGHT_SHARE = 0.8


@pytest.fixture(scope="module")
def asked() -> list[Outcome]:
    return outcomes()


def test_the_evaluation_has_its_size_and_names_places_that_exist() -> None:
    questions = json.loads(QUESTIONS.read_text())
    places = {(found.document, found.heading) for found in library().passages.values()}

    assert sum(bool(each["answer"]) for each in questions) == ANSWERABLE
    assert sum(not each["answer"] for each in questions) == UNANSWERABLE
    lost = [
        (wanted["document"], wanted["heading"])
        for each in questions
        for wanted in each["answer"]
        if not any(document == wanted["document"] and heading.endswith(wanted["heading"]) for document, heading in places)
    ]
    assert lost == []


def test_the_passage_that_answers_is_cited(asked: list[Outcome]) -> None:
    wrong = [each.question for each in asked if each.places and not each.is_among_cited]

    assert len(wrong) <= (1 - RIGHT_SHARE) * ANSWERABLE, wrong


def test_what_the_pages_do_not_hold_is_refused(asked: list[Outcome]) -> None:
    assert [each.question for each in asked if not each.places and each.cited] == []
