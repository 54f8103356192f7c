"""The documents: what they point to is there, and what is made from code is the newest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.settings_page import page

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_and_command_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"^def (\w+)\(ctx", (ROOT / "server" / "cli.py").read_text(), re.MULTILINE)) - {"main"}
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    for named in re.findall(r"`parley ([a-z|]+)[ `]", text):
        assert set(named.split("|")) <= commands


def test_the_settings_page_is_the_one_made_from_the_table() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == page(), "run `make docs`"
