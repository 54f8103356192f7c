import pytest

from server.kit.errors import Invalid
from server.workspaces.documents import parsing, pdf
from server.workspaces.documents.rules import MAX_CHARS, MAX_PAGES
from tests.workspaces.documents import pdfs

LOREM = "Backups are written to the folder that the setting names and kept for thirty days."


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("notes.txt", b"Plain words.", "text/plain"),
        ("NOTES.MD", b"# Title\n\nWords.", "text/markdown"),
        ("notes", b"Plain words.", "text/plain"),
        ("guide.pdf", pdfs.pdf([LOREM]), "application/pdf"),
        ("guide.bin", pdfs.pdf([LOREM]), "application/pdf"),
        ("bom.txt", b"\xef\xbb\xbfWords.", "text/plain"),
    ],
)
def test_a_file_is_known_by_its_ending_and_a_pdf_by_its_bytes(name: str, data: bytes, media_type: str) -> None:
    assert parsing.read(name, data).media_type == media_type


@pytest.mark.parametrize(
    ("name", "data", "refusal"),
    [
        ("page.html", b"<p>words</p>", parsing.UnknownKind),
        ("letter.docx", b"PK\x03\x04", parsing.UnknownKind),
        ("empty.txt", b"", parsing.EmptyDocument),
        ("blank.md", b" \n\t\n", parsing.EmptyDocument),
        ("heads.md", b"# Only a heading\n", parsing.EmptyDocument),
        ("latin.txt", "Größe".encode("latin-1"), parsing.NotUtf8),
        ("binary.txt", b"a\x00b", parsing.NotUtf8),
        ("long.txt", b"word " * (MAX_CHARS // 4), parsing.TooMuchText),
        ("renamed.pdf", b"these are words", pdf.BrokenPdf),
        ("cut.pdf", b"%PDF-1.4\n1 0 obj\n<<", pdf.BrokenPdf),
        ("secret.pdf", pdfs.with_password(pdfs.pdf([LOREM]), "open sesame"), pdf.EncryptedPdf),
        ("scan.pdf", pdfs.pdf([], []), parsing.PicturesOnly),
        ("thick.pdf", pdfs.pdf(*[["x"]] * (MAX_PAGES + 1)), pdf.TooManyPages),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(name: str, data: bytes, refusal: type[Invalid]) -> None:
    with pytest.raises(refusal) as refused:
        parsing.read(name, data)

    assert refused.type is refusal
    assert refused.value.status == 422
    assert refused.value.message == refusal.__doc__


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\temp\\report.md", "report.md"),
        ("a\x00b\n.txt", "ab.txt"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
        ("...", "document"),
    ],
)
def test_a_file_name_is_cleaned(sent: str, kept: str) -> None:
    assert parsing.clean_name(sent) == kept


def test_a_passage_of_a_pdf_knows_its_page() -> None:
    parsed = parsing.read("guide.pdf", pdfs.pdf([LOREM] * 12, ["Restore with one command."] * 12))

    assert parsed.passages[0].page == 1
    assert parsed.passages[-1].page == 2


def test_the_table_of_contents_of_a_pdf_gives_the_headings() -> None:
    data = pdfs.with_contents(pdfs.pdf(["Install", LOREM], ["Restore", "One command."]), ("Install", 0), ("Restore", 1))

    assert [(each.heading, each.page) for each in parsing.read("guide.pdf", data).passages] == [("Install", 1), ("Restore", 2)]


def test_a_sentence_that_runs_over_a_page_is_read_in_one_piece() -> None:
    parsed = parsing.read("guide.pdf", pdfs.pdf(["The lease ends when the"], ["worker stands still."]))

    assert parsed.passages[0].text == "The lease ends when the worker stands still."


def test_lines_that_stand_on_every_page_are_not_read() -> None:
    pages = [["Handbook 2026", f"Fact number {word} is here.", str(number)] for number, word in enumerate("abcdef", 1)]

    text = " ".join(each.text for each in parsing.read("guide.pdf", pdfs.pdf(*pages)).passages)

    assert "Fact number f is here." in text
    assert "Handbook" not in text


def test_words_parted_at_the_end_of_a_line_are_put_together() -> None:
    assert parsing.read("guide.pdf", pdfs.pdf(["The data-", "base is kept."])).passages[0].text == "The database is kept."


def test_a_pdf_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "PDF_S", 0)

    with pytest.raises(pdf.SlowPdf):
        parsing.read("guide.pdf", pdfs.pdf([LOREM]))


@pytest.mark.parametrize("ending", ["md", "txt"])
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[a](b",
        "![",
        "<!--",
        "` A. ",
        "a\n",
        "- a\n  a\n",
        "a\n===\n",
        "\n" + " " * 200,
        '."',
        "```\n",
        "1.1 A\n\n",
        "中文。",
        "# a\nb\n",
    ],
)
def test_a_text_made_to_be_slow_is_read_in_time_to_its_length(piece: str, ending: str) -> None:
    """Whatever takes the square of the length would take hours here."""
    data = (piece * (MAX_CHARS // len(piece) // 4)).encode()

    try:
        assert parsing.read(f"slow.{ending}", data).passages
    except parsing.EmptyDocument:
        pass
