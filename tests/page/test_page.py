"""The page as a page: for everybody, on every screen, and small to load."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Response, expect

from tests.page.conftest import Visit
from tests.page.visitor import PASSWORD, Visitor
from tests.stack import Stack

pytestmark = pytest.mark.browser

FIRST_LOAD_BYTES = 100_000
FOCUSED = """() => {
    const each = document.activeElement;
    return each.getAttribute("aria-label") ?? each.labels?.[0]?.innerText ?? each.innerText;
}"""
MARKDOWN = "### Hours\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n\n> two\n\n```sh\nls -l\n```\n\n[three](https://example.org) `four`"


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    somebody = visit().go("/#/register")
    keys = somebody.page.keyboard

    def reach(name: str) -> None:
        """Press Tab until the thing of that name has the focus, and see that it shows it."""
        for _ in range(40):
            if somebody.page.evaluate(FOCUSED).strip() == name:
                assert somebody.page.evaluate("document.activeElement.matches(':focus-visible')")
                return
            keys.press("Tab")
        raise AssertionError(f"Tab does not lead to {name}")

    reach("E-mail")
    keys.type(somebody.email)
    reach("Password")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(somebody.heading("Workspaces")).to_be_visible()
    reach("New workspace")
    keys.press("Enter")
    expect(somebody.field("Name")).to_be_focused()
    keys.type("Keys")
    keys.press("Enter")
    expect(somebody.composer).to_be_focused()
    keys.type("@ass")
    keys.press("Tab")
    keys.type("fetch http://127.0.0.1:9/page")
    keys.press("Enter")
    expect(somebody.button("Approve")).to_be_visible()
    keys.press("Shift+Tab")
    for _ in range(20):
        if somebody.button("Approve").evaluate("e => e === document.activeElement"):
            break
        keys.press("Shift+Tab")
    keys.press("Enter")
    somebody.has_answer(re.compile("^The tool said: "))
    expect(somebody.composer).to_be_focused()


def test_an_answer_is_read_out_once_when_it_is_complete(visitor: Visitor) -> None:
    visitor.say("slowly 0.8 one two three four five")
    visitor.begins_to_answer("one")
    spoken = visitor.page.locator(".unseen[aria-live=polite]")
    assert "one" not in spoken.inner_text()
    expect(spoken).to_have_text("Assistant answered: one two three four five")


Walk = Callable[[Visitor], None]


def _gate(somebody: Visitor) -> None:
    somebody.go("/#/sign-in")
    expect(somebody.heading("Sign in")).to_be_visible()


def _new_workspace(somebody: Visitor) -> None:
    somebody.signed_up().button("New workspace").click()


def _room(page: str) -> Walk:
    def walk(somebody: Visitor) -> None:
        somebody.signed_up().with_workspace()
        somebody.go(f"/#/workspace/{somebody.workspace_id}/{page}")
        expect(somebody.heading(page.capitalize())).to_be_visible()
        somebody.page.wait_for_load_state("networkidle")

    return walk


def _home(somebody: Visitor) -> None:
    somebody.signed_up().with_workspace()


def _completion(somebody: Visitor) -> None:
    somebody.signed_up().with_workspace().composer.press_sequentially("@")
    expect(somebody.page.get_by_role("option")).to_have_count(2)


def _answer(somebody: Visitor) -> None:
    somebody.signed_up().with_workspace("Work", "echo")
    somebody.say(f"@echo {MARKDOWN}")
    expect(somebody.answer.locator("time")).to_be_visible()


def _running(somebody: Visitor) -> None:
    somebody.signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=400 delay=0.05")
    somebody.begins_to_answer("2 3")


def _approval(somebody: Visitor) -> None:
    somebody.signed_up().with_workspace()
    somebody.say("fetch http://127.0.0.1:9/page")
    expect(somebody.button("Approve")).to_be_visible()


def _failure(somebody: Visitor) -> None:
    somebody.signed_up().with_workspace("Work", "failing")
    somebody.say("@failing please")
    expect(somebody.answer.locator(".problem")).to_be_visible()


def _account(somebody: Visitor) -> None:
    somebody.signed_up().go("/#/account")
    expect(somebody.heading("Account")).to_be_visible()


def _nowhere(somebody: Visitor) -> None:
    somebody.signed_up().go("/#/nowhere")
    expect(somebody.heading("There is no such page")).to_be_visible()


VIEWS: dict[str, Walk] = {
    "sign-in": _gate,
    "workspaces": _new_workspace,
    "home": _home,
    "completion": _completion,
    "agents": _room("agents"),
    "documents": _room("documents"),
    "members": _room("members"),
    "settings": _room("settings"),
    "answer": _answer,
    "running": _running,
    "approval": _approval,
    "failure": _failure,
    "account": _account,
    "nowhere": _nowhere,
}


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_a_barrier_in_light_or_dark_wide_or_narrow(visit: Visit, view: str) -> None:
    somebody = visit(color_scheme="light")
    VIEWS[view](somebody)
    found = []
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            somebody.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            somebody.page.set_viewport_size({"width": width, "height": 800})
            found += [f"{scheme} {width}: {each}" for each in somebody.violations()]
    assert found == []


def test_on_a_narrow_screen_the_menu_opens_and_leads_on(visit: Visit) -> None:
    somebody = visit(viewport={"width": 360, "height": 700}).signed_up().with_workspace()
    somebody.button("Menu").click()
    assert somebody.violations() == []
    somebody.page.get_by_role("dialog").get_by_role("link", name="Agents").click()
    expect(somebody.heading("Agents")).to_be_visible()
    expect(somebody.page.get_by_role("dialog")).to_have_count(0)


def test_the_first_load_is_small(visit: Visit) -> None:
    somebody = visit()
    answers: list[Response] = []
    somebody.page.on("response", lambda answer: answers.append(answer))
    somebody.go("/#/sign-in")
    expect(somebody.heading("Sign in")).to_be_visible()
    somebody.page.wait_for_load_state("networkidle")
    assert len(answers) >= 3
    assert sum(len(gzip.compress(answer.body())) for answer in answers) <= FIRST_LOAD_BYTES


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_about_the_api_ask_no_other_host_and_show_it(visit: Visit, path: str) -> None:
    somebody = visit().go(path)
    somebody.sees(re.compile("authorize", re.IGNORECASE))
    somebody.page.wait_for_load_state("networkidle")


def test_everything_that_was_built_is_asked_for_by_a_page(server: Stack) -> None:
    built = Path(__file__).parents[2] / "server" / "web" / "static"
    pages = "".join(page.read_text() for page in [built / "index.html", *built.glob("docs/*.html")])
    orphans = [path.name for path in built.rglob("*") if path.is_file() and path.suffix in (".js", ".css") and path.name not in pages]
    assert orphans == []
