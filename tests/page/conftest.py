"""A browser, a whole server with a scripted language model behind it, and people who use the page."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.page.visitor import Visitor
from tests.page.wire import Wire
from tests.scripted_model import ScriptedModel
from tests.stack import ROOT, Stack

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine. Of the module, because Playwright holds the thread's event loop while it is open."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("No Chromium here; `make browser` installs one.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def server() -> Iterator[Stack]:
    """A whole server whose assistant asks the scripted model, and that also has the agents of `tests/graphs`."""
    with ScriptedModel() as model:
        running = Stack.started(OPENAI_BASE_URL=model.base_url, AGENTS_CONFIG=str(ROOT / "tests" / "graphs" / "langgraph.json"))
        yield running
        running.stop()


@pytest.fixture
def wire(server: Stack) -> Iterator[Wire]:
    """The wire between the browser and the server."""
    with Wire(server.base_url) as opened:
        yield opened


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, wire: Wire) -> Iterator[Visit]:
    """Opens the page for somebody new, or for somebody who has been here; at the end none of them has seen anything go wrong."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def opened(*, base_url: str = wire.base_url, context: BrowserContext | None = None, **options: Any) -> Visitor:
        options = {"reduced_motion": "reduce", "viewport": {"width": 1280, "height": 800}, **options}
        home = context or browser.new_context(**options)
        contexts.append(home)
        visitor = Visitor(home.new_page(), base_url, f"{uuid.uuid4().hex[:10]}@example.com")
        visitors.append(visitor)
        return visitor

    yield opened
    wrong = [each for visitor in visitors for each in visitor.wrong]
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    """Somebody new with an account and a workspace, before their first chat."""
    return visit().signed_up().with_workspace()
