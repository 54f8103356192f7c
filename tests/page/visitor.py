"""Somebody in front of the page, who does with it what people do."""

from __future__ import annotations

import json
import re
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

__all__ = ["PASSWORD", "Visitor", "counted"]

PASSWORD = "correct horse battery"
SLOW_MS = 30_000  # how long anything may take on a machine that does much else
expect.set_options(timeout=SLOW_MS)

# What a browser says by itself when a request is refused, or cut by a test.
EXPECTED = re.compile(r"Failed to load resource|net::ERR_|WebSocket connection to|WebSocket is closed")

TOO_WIDE = """
    [...document.querySelectorAll("html, main, dialog, .scroll")]
        .filter(each => each.scrollWidth > each.clientWidth)
        .map(each => `too wide: ${each.tagName}`)
"""


def counted(number: int) -> str:
    """What the counting agents say when they count to a number."""
    return " ".join(str(each) for each in range(1, number + 1))


class Visitor:
    """A person, their page, and what went wrong on it: errors, refused content, requests to other hosts."""

    def __init__(self, page: Page, base_url: str, email: str) -> None:
        self.page = page
        self.base_url = base_url
        self.email = email
        self.wrong: list[str] = []
        page.set_default_timeout(SLOW_MS)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self._heard)
        page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        own = (self.base_url, self.base_url.replace("http", "ws", 1), "data:", "blob:")
        if not request.url.startswith(own):
            self.wrong.append(f"another host: {request.url}")

    # -- going about -------------------------------------------------------------------------------------------------

    def go(self, address: str = "/") -> Visitor:
        """Open an address of the server."""
        self.page.goto(self.base_url + address)
        return self

    def button(self, name: str) -> Locator:
        """The button of that name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        """The field of that label."""
        return self.page.get_by_label(label, exact=True)

    def heading(self, name: str) -> Locator:
        """The heading of that name."""
        return self.page.get_by_role("heading", name=name, exact=True)

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page says that, to be seen."""
        expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()

    def menu(self, name: str) -> None:
        """Follow a link of the sidebar."""
        self.page.get_by_role("link", name=name, exact=True).click()

    @property
    def workspace_id(self) -> str:
        """The workspace that is open."""
        found = re.search(r"#/workspace/([^/]+)", self.page.url)
        assert found, self.page.url
        return found[1]

    @property
    def chat_id(self) -> str:
        """The chat that is open."""
        found = re.search(r"/chat/([^/]+)", self.page.url)
        assert found, self.page.url
        return found[1]

    # -- accounts and workspaces -------------------------------------------------------------------------------------

    def signed_up(self) -> Visitor:
        """Make an account by the form; the workspaces are shown then."""
        self.go("/#/register")
        self.field("E-mail").fill(self.email)
        self.field("Password").fill(PASSWORD)
        self.button("Create account").click()
        expect(self.heading("Workspaces")).to_be_visible()
        return self

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Fill in and send the form that is shown."""
        self.field("E-mail").fill(email)
        self.field("Password").fill(password)
        self.button("Sign in").click()

    def with_workspace(self, name: str = "Harbour office", *agents: str) -> Visitor:
        """Make a workspace by the dialog, and give it more agents."""
        self.go("/#/")
        self.button("New workspace").click()
        self.field("Name").fill(name)
        self.button("Create").click()
        expect(self.heading(name)).to_be_visible()
        for agent in agents:
            self.call("POST", f"/workspace/{self.workspace_id}/agent", {"agent_id": agent})
        if agents:
            self.page.reload()
        return self

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer of a request in this person's name, beside the page."""
        tokens = json.loads(self.page.evaluate("localStorage.getItem('parley.tokens')"))
        answer = self.page.request.fetch(
            self.base_url + path, method=method, data=body, headers={"Authorization": f"Bearer {tokens['access_token']}"}
        )
        assert answer.ok, f"{method} {path}: {answer.status} {answer.text()}"
        return answer.json()

    def stored(self) -> list[dict[str, Any]]:
        """The stored messages of the chat that is open, oldest first."""
        messages: list[dict[str, Any]] = self.call("GET", f"/chat/{self.chat_id}/messages?limit=200")["messages"]
        return messages[::-1]

    # -- talking -----------------------------------------------------------------------------------------------------

    @property
    def composer(self) -> Locator:
        """Where messages are written."""
        return self.page.get_by_role("textbox", name="Message", exact=True)

    def say(self, text: str) -> None:
        """Write a message and send it with Enter."""
        self.composer.fill(text)
        self.composer.press("Enter")

    @property
    def answer(self) -> Locator:
        """The newest answer."""
        return self.page.locator(".turn.answer").last

    @property
    def answer_text(self) -> Locator:
        """The words of the newest answer."""
        return self.answer.locator(".prose")

    def text_now(self) -> str:
        """The words of the newest answer as they stand, as one line."""
        return " ".join(self.answer_text.inner_text().split())

    def has_answer(self, text: str | re.Pattern[str], *, within_ms: float = SLOW_MS) -> None:
        """Wait until the newest answer is complete and says that."""
        expect(self.answer_text).to_have_text(text, timeout=within_ms)
        expect(self.answer.locator("time")).to_be_visible()

    def begins_to_answer(self, text: str | re.Pattern[str]) -> None:
        """Wait until an answer that is still being made has come to that."""
        expect(self.answer_text).to_contain_text(text)

    # -- looking closely ---------------------------------------------------------------------------------------------

    def violations(self) -> list[str]:
        """What axe finds wrong with the page as it stands; the part of it that is wider than the screen, too."""
        found = Axe().run(self.page).response["violations"]
        listed = [f"{each['id']}: {', '.join(' '.join(node['target']) for node in each['nodes'])}" for each in found]
        return [*listed, *self.page.evaluate(TOO_WIDE)]
