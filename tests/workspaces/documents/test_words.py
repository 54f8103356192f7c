import pytest

from server.workspaces.documents.words import content_terms, is_common, ngrams, stem, synonyms, terms


@pytest.mark.parametrize(
    "forms",
    [
        "configure configured configures configuring configuration",
        "install installed installing installation",
        "retry retries retried",
        "cancel cancelled canceling cancellation",
        "stop stops stopped stopping",
        "migrate migrated migration migrations",
        "message messages messaging",
    ],
)
def test_forms_of_an_english_word_are_one_term(forms: str) -> None:
    assert len(set(terms(forms))) == 1


def test_a_worker_is_not_work() -> None:
    assert stem("worker") != stem("work")


def test_a_compound_is_found_by_its_parts_and_as_a_whole() -> None:
    assert terms("MAX_DOCUMENT_BYTES") == ["max", "document", "byt", "maxdocumentbytes"]
    assert terms("e-mail")[-1] == terms("email")[0]


def test_accents_and_case_make_no_difference() -> None:
    assert terms("Größe RÉSUMÉ") == terms("größe resume")


def test_writing_without_spaces_becomes_pairs() -> None:
    assert terms("数据库备份") == ["数据", "据库", "库备", "备份"]


def test_a_question_is_left_with_what_carries_its_meaning() -> None:
    assert content_terms("How do I back up the database?") == ["back", "databas"]


def test_stop_words_are_those_of_the_language_of_the_question() -> None:
    assert content_terms("Wie ändere ich die Größe der Datenbank?") == ["ander", "gross", "datenbank"]
    assert "die" in content_terms("Does a worker die when it blocks?")


def test_a_name_in_one_piece_is_not_taken_apart() -> None:
    assert content_terms("Can I use MySQL?") == ["mysql"]


def test_words_that_only_ask_are_common_and_names_are_not() -> None:
    assert is_common(stem("happen"))
    assert not is_common(stem("kubernetes"))


def test_synonyms_go_both_ways() -> None:
    assert stem("delete") in synonyms(stem("remove"))
    assert stem("remove") in synonyms(stem("delete"))


def test_words_that_begin_alike_share_ngrams() -> None:
    assert set(ngrams("datenbank")) < set(ngrams("datenbanken"))
