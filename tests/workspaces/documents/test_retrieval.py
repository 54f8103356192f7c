from server.workspaces.documents.retrieval import Index, asked_of

PAGES = {
    "backup": "Back up the database every night and copy the dump to another machine.",
    "tokens": "An access token is valid for an hour; a refresh token for thirty days.",
    "worker": "A worker carries out runs. When a worker dies, another one goes on.",
    "settings": "MAX_DOCUMENTS bounds the documents of a workspace. DATA_DIR names the data folder.",
    "german": "Die Datenbanken werden jede Nacht gesichert.",
    "chinese": "数据库每天晚上备份一次。",
}


def index_of(pages: dict[str, str]) -> Index:
    index = Index()
    for name, text in pages.items():
        index.add(name, f"{name}.md", [(name, "", text)])
    return index


def best(question: str, index: Index | None = None) -> list[object]:
    index = index or index_of(PAGES)
    return [key for key, _ in index.best(asked_of(index, question), 3)]


def test_the_passage_with_the_words_of_the_question_comes_first() -> None:
    assert best("How long is a refresh token valid?")[0] == "tokens"


def test_another_form_of_a_word_is_found() -> None:
    assert best("copying dumps")[0] == "backup"


def test_a_word_that_means_the_same_is_found() -> None:
    assert best("What if a worker crashes?")[0] == "worker"


def test_a_word_that_is_written_nearly_the_same_is_found() -> None:
    assert best("Wann wird die Datenbank gesichert?")[0] == "german"


def test_words_that_the_documents_write_in_one_are_found() -> None:
    assert best("data dir")[0] == "settings"
    assert best("max documents")[0] == "settings"


def test_writing_without_spaces_is_found() -> None:
    assert best("数据库什么时候备份？")[0] == "chinese"


def test_a_word_in_the_heading_counts_more_than_one_in_the_text() -> None:
    index = Index()
    index.add("a", "a.md", [(1, "", "The restart of a worker takes a second, and then the runs go on as before.")])
    index.add("b", "b.md", [(2, "Guide › Restart", "Send it the signal and wait until it has handed over what it carries out.")])

    assert best("restart", index)[0] == 2


def test_nothing_is_found_for_words_that_nobody_wrote() -> None:
    assert best("xylophone zeppelin") == []


def test_a_removed_document_is_not_found() -> None:
    index = index_of(PAGES)
    index.remove("tokens")

    assert "tokens" not in best("access token refresh", index)
    assert (index.passages, index.size) == (len(PAGES) - 1, len(PAGES))


def test_an_added_document_is_found_beside_the_old_ones() -> None:
    index = index_of(PAGES)
    index.add("new", "new.md", [("new", "", "The lighthouse is painted every spring.")])

    assert best("Who paints the lighthouse?", index)[0] == "new"
    assert best("refresh token", index)[0] == "tokens"


def test_a_rare_word_tells_more_than_a_frequent_one_and_an_unknown_one_most() -> None:
    index = index_of(PAGES)

    assert index.rarity("token") > index.rarity("worker") - 1
    assert index.rarity("unheard") > index.rarity("token")


def test_an_unknown_name_weighs_on_the_answer_and_an_unknown_common_word_hardly() -> None:
    asked = {meaning.term: meaning for meaning in asked_of(index_of(PAGES), "Does LDAP arrive?").meanings}

    assert asked["ldap"].weight > 5 * asked["arriv"].weight
    assert not asked["ldap"].is_known
