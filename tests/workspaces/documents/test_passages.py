import pytest

from server.workspaces.documents.blocks import markdown_blocks, plain_blocks, sentences
from server.workspaces.documents.passages import MAX_CHARS, MAX_WHOLE_CHARS, TAIL_CHARS, Cut, cut


def passages(text: str) -> list[Cut]:
    return cut(markdown_blocks(text))


PARAGRAPH = "The server keeps what it accepted. A worker may die and nothing is lost. " * 4


def test_a_passage_knows_the_headings_above_it() -> None:
    found = passages("# Guide\n\nIntro.\n\n## Install\n\n### On Linux\n\nUse make.\n\n## Run\n\nUse run.\n")

    assert [each.heading for each in found] == ["Guide", "Guide › Install › On Linux", "Guide › Run"]


def test_an_underlined_line_is_a_heading() -> None:
    assert [each.heading for each in passages("Guide\n=====\n\nIntro.\n\nPart\n----\n\nText.\n")] == ["Guide", "Guide › Part"]


def test_text_under_two_headings_is_never_in_one_passage() -> None:
    found = passages("# A\n\nfirst\n\n# B\n\nsecond\n")

    assert [each.text for each in found] == ["first", "second"]


def test_paragraphs_fill_a_passage_and_no_sentence_is_cut() -> None:
    found = passages("# A\n\n" + "\n\n".join([PARAGRAPH] * 8))

    assert len(found) > 2
    assert all(len(each.text) <= MAX_CHARS + TAIL_CHARS and each.text.endswith(".") for each in found)


def test_a_paragraph_that_is_too_long_is_cut_between_sentences() -> None:
    found = passages(PARAGRAPH * 10)

    assert all(each.text.startswith(("The server", "A worker")) and each.text.endswith(".") for each in found)


def test_a_text_without_any_space_is_still_cut() -> None:
    assert all(len(each.text) <= MAX_CHARS for each in passages("x" * 5000))


def test_code_stays_whole_with_the_sentence_before_it() -> None:
    code = "```bash\n" + "\n".join(f"parley step {number}" for number in range(40)) + "\n```"
    found = passages(f"# A\n\n{PARAGRAPH}\n\nThen run:\n\n{code}\n")

    holding = [each for each in found if "parley step 0" in each.text]
    assert len(holding) == 1
    assert code in holding[0].text
    assert "Then run:" in holding[0].text


def test_hash_signs_in_code_are_no_headings() -> None:
    assert passages("# A\n\n```\n# not a heading\n```\n")[0].heading == "A"


def test_code_that_is_too_long_is_cut_between_lines_and_stays_code() -> None:
    found = passages("```python\n" + "\n".join(f"line_{number} = {number}" for number in range(400)) + "\n```\n")

    assert len(found) > 2
    assert all(each.text.startswith("```python\n") and each.text.endswith("\n```") for each in found)
    assert all(len(each.text) < MAX_WHOLE_CHARS + 100 for each in found)


def test_each_piece_of_a_long_table_has_its_head() -> None:
    rows = "\n".join(f"| SETTING_{number} | what the setting number {number} is about |" for number in range(60))
    found = passages(f"| Name | Meaning |\n|---|---|\n{rows}\n")

    assert len(found) > 2
    assert all(each.text.startswith("| Name | Meaning |\n|---|---|\n| SETTING_") for each in found)
    assert sum(each.text.count("SETTING_") for each in found) == 60


def test_items_of_a_list_stand_under_each_other() -> None:
    assert passages("- one\n- two\n  goes on\n\n  and on\n- three\n")[0].text == "- one\n- two goes on and on\n- three"


def test_links_to_neighbouring_files_become_words_and_links_to_the_world_stay() -> None:
    text = passages("See [operations](operations.md#restart) and [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562). ![plan](a.png)\n")

    assert text[0].text == "See operations and [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562). plan"


def test_comments_and_front_matter_are_not_read() -> None:
    assert passages("---\ntitle: x\n---\n<!-- hidden -->\nShown.\n")[0].text == "Shown."


def test_plain_text_has_paragraphs_and_numbered_headings() -> None:
    found = cut(plain_blocks("1. Purpose\n\nTo say\nwhat it is.\n\n1.1 Scope\n\nAll of it.\n\nLIMITS\n\nNone.\n"))

    assert [(each.heading, each.text) for each in found] == [
        ("Purpose", "To say what it is."),
        ("Purpose › Scope", "All of it."),
        ("Limits", "None."),
    ]


@pytest.mark.parametrize(
    ("text", "cut_text"),
    [
        ("One. Two! Three? Four.", ["One.", "Two!", "Three?", "Four."]),
        ("See e.g. Redis. It rings.", ["See e.g. Redis.", "It rings."]),
        ("Use `a. B` here. Then go.", ["Use `a. B` here.", "Then go."]),
        ("Version 3.11 works. ok", ["Version 3.11 works. ok"]),
        ("第一句。第二句。", ["第一句。", "第二句。"]),
    ],
)
def test_sentences_end_where_a_reader_would_say(text: str, cut_text: list[str]) -> None:
    assert sentences(text) == cut_text
