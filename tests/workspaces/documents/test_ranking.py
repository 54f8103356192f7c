from server.workspaces.documents.ranking import Found, Hit, as_value, rank
from server.workspaces.documents.retrieval import Index, asked_of

TABLE = "| Setting | Meaning |\n|---|---|\n| PORT | where the web server listens |\n| DATA_DIR | the folder of everything kept |"
TEXTS = {
    "limits": "A workspace takes 500 documents. Each may have 10 MB. Larger ones are refused.",
    "tokens": "Tokens end after an hour. Then sign in again. Nothing else is lost.",
    "settings": TABLE,
    "start": "Start the server:\n\n```bash\nmake run\n```\n\nIt prints one address.",
}


def hits(question: str) -> list[Hit]:
    index = Index()
    for name, text in TEXTS.items():
        index.add(name, f"{name}.md", [(name, "", text)])
    asked = asked_of(index, question)
    found = {name: Found(name, name, f"{name}.md", "", None, 0, text) for name, text in TEXTS.items()}
    return rank(asked, [(found[str(key)], bm25) for key, bm25 in index.best(asked, 10)], 8)


def test_the_sentence_that_answers_scores_highest() -> None:
    units = hits("How many documents does a workspace take?")[0].evidence.units

    assert max(units, key=lambda unit: unit.score).text == "A workspace takes 500 documents."


def test_a_row_is_shown_under_the_head_of_its_table() -> None:
    best = max(hits("Which folder is kept?")[0].evidence.units, key=lambda unit: unit.score)

    assert best.kind == "table"
    assert best.text == "| Setting | Meaning |\n|---|---|\n| DATA_DIR | the folder of everything kept |"


def test_code_is_one_unit() -> None:
    assert [unit.kind for unit in hits("start the server")[0].evidence.units] == ["text", "code", "text"]


def test_a_question_that_is_answered_is_covered_and_one_that_is_not_is_not() -> None:
    assert hits("How many documents may a workspace hold?")[0].evidence.coverage > 0.7
    assert hits("How many documents fit into a Kubernetes pod?")[0].evidence.coverage < 0.5


def test_scores_and_coverage_are_shares() -> None:
    for hit in hits("server documents folder tokens make run"):
        assert 0 <= hit.score <= 1
        assert 0 <= hit.evidence.coverage <= 1


def test_a_value_holds_the_place_and_the_lines_of_its_passage() -> None:
    hit = hits("tokens")[0]
    value = as_value(hit.found, hit)

    assert (value["document"], value["position"], value["page"]) == ("tokens.md", 0, None)
    assert [line["position"] for line in value["highlights"]] == [0, 1, 2]
