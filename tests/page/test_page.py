"""The page in a real browser, over a real server: what somebody does with it from the first visit on."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Response, expect

from tests.page.conftest import Visit
from tests.page.visitor import PASSWORD, Visitor, counted
from tests.page.wire import Wire
from tests.stack import Stack

pytestmark = pytest.mark.browser

FIRST_LOAD_BYTES = 100_000
FOCUSED = """() => {
    const each = document.activeElement;
    return each.getAttribute("aria-label") ?? each.labels?.[0]?.innerText ?? each.innerText;
}"""
MARKDOWN = "### Hours\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n\n> two\n\n```sh\nls -l\n```\n\n[three](https://example.org) `four`"
HARBOUR = b"# Harbour\n\nThe harbour opens at half past five in summer.\n\n# Berths\n\nA berth is booked the day before.\n"


# -- from the first visit to the first answer --------------------------------------------------------------------------


def test_somebody_new_comes_from_nothing_to_a_live_answer(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace()
    somebody.say("slowly 0.1 one two three four five six seven eight nine ten")
    somebody.begins_to_answer("two three")
    assert "ten" not in somebody.text_now()
    somebody.has_answer("one two three four five six seven eight nine ten")
    assert [message["role"] for message in somebody.stored()] == ["user", "assistant"]


def test_the_chat_is_named_after_its_first_message_and_found_again(visitor: Visitor) -> None:
    visitor.say("What is a berth?")
    visitor.has_answer("You said: What is a berth?")
    expect(visitor.heading("What is a berth?")).to_be_visible()
    visitor.menu("Harbour office")
    visitor.page.get_by_role("main").get_by_role("link", name="What is a berth?").click()
    visitor.has_answer("You said: What is a berth?")


def test_an_agent_named_with_an_at_sign_answers(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "echo")
    somebody.composer.press_sequentially("@ec")
    expect(somebody.page.get_by_role("option")).to_have_count(1)
    somebody.composer.press("Enter")
    expect(somebody.composer).to_have_value("@echo ")
    somebody.composer.press_sequentially("all **well**?")
    somebody.composer.press("Enter")
    somebody.has_answer("all well?")
    expect(somebody.page.get_by_role("article", name="Answer of Echo")).to_be_visible()
    expect(somebody.answer.locator("strong")).to_have_text("well")


def test_the_documents_agent_cites_what_was_uploaded(visitor: Visitor) -> None:
    visitor.menu("Documents")
    visitor.page.get_by_label("Choose documents").set_input_files({"name": "harbour.md", "mimeType": "text/markdown", "buffer": HARBOUR})
    visitor.sees("harbour.md added.")
    visitor.menu("Harbour office")
    visitor.say("@documents When does the harbour open in summer?")
    visitor.has_answer(re.compile(r"half past five.*\[1\]", re.DOTALL))
    visitor.menu("Documents")
    visitor.button("Delete harbour.md").click()
    visitor.button("Delete document").click()
    visitor.sees("No documents yet.")


# -- an answer that is being made --------------------------------------------------------------------------------------


def test_a_running_answer_is_stopped(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=500 delay=0.05")
    somebody.begins_to_answer("3 4")
    somebody.button("Stop").click()
    expect(somebody.answer.get_by_text("Stopped.")).to_be_visible()
    expect(somebody.button("Stop")).to_have_count(0)
    assert counted(500).startswith(somebody.text_now())
    somebody.say("@slow n=3")
    somebody.has_answer(counted(3))


def test_a_reload_is_back_in_a_running_answer(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=150 delay=0.05")
    somebody.begins_to_answer("9 10")
    before = somebody.text_now()
    somebody.page.reload()
    expect(somebody.answer_text).to_contain_text(before, timeout=5_000)
    assert not somebody.text_now().endswith("150")
    somebody.has_answer(counted(150))


def test_an_answer_survives_twenty_cut_connections(visit: Visit, wire: Wire) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=600 delay=0.02")
    somebody.begins_to_answer("2 3")
    state = somebody.page.locator(".link-state")
    for _ in range(20):
        expect(state).to_have_text("Connected")
        assert wire.cut() > 0
        expect(state).not_to_have_text("Connected")
        assert counted(600).startswith(somebody.text_now())
    somebody.has_answer(counted(600))
    assert len(somebody.stored()) == 2


def test_a_message_written_without_a_connection_is_sent_once_when_there_is_one(visitor: Visitor, wire: Wire) -> None:
    visitor.say("first")
    visitor.has_answer("You said: first")
    wire.take_down()
    expect(visitor.page.locator(".link-state")).to_have_text("Reconnecting")
    visitor.say("second")
    visitor.sees("Waits for the connection.")
    wire.bring_up()
    visitor.has_answer("You said: second")
    assert [message["content"] for message in visitor.stored() if message["role"] == "user"] == ["first", "second"]


def test_a_message_that_was_not_sent_before_a_reload_is_sent_after_it(visitor: Visitor, wire: Wire) -> None:
    visitor.say("first")
    visitor.has_answer("You said: first")
    wire.take_down()
    visitor.say("second")
    visitor.sees("Waits for the connection.")
    wire.bring_up()
    visitor.page.reload()
    visitor.has_answer("You said: second")
    assert len(visitor.stored()) == 4


@pytest.mark.parametrize("kind", ["web", "worker"])
def test_a_process_that_dies_in_the_middle_is_not_seen_in_the_answer(visit: Visit, server: Stack, kind: str) -> None:
    somebody = visit().signed_up().with_workspace("Work", "slow")
    somebody.say("@slow n=100 delay=0.05")
    somebody.begins_to_answer("9 10")
    killed = server.kill(kind)
    server.await_restart(kind, killed)
    somebody.has_answer(counted(100), within_ms=60_000)
    assert [message["role"] for message in somebody.stored()] == ["user", "assistant"]


# -- an agent that asks ------------------------------------------------------------------------------------------------


def test_an_approval_is_given_in_place(visitor: Visitor) -> None:
    visitor.say("fetch http://127.0.0.1:9/page")
    expect(visitor.heading("Assistant asks for your approval")).to_be_visible()
    expect(visitor.answer.get_by_text("http://127.0.0.1:9/page", exact=True)).to_be_visible()
    visitor.button("Approve").click()
    visitor.has_answer(re.compile(r"^The tool said: "))
    expect(visitor.button("Approve")).to_have_count(0)


def test_an_approval_is_refused_with_a_reason(visitor: Visitor) -> None:
    visitor.say("fetch http://127.0.0.1:9/page")
    visitor.button("Reject").click()
    visitor.field("What should the agent know? (optional)").fill("Not this page.")
    visitor.button("Reject").click()
    visitor.has_answer(re.compile("Not this page"))


def test_a_question_is_still_there_after_a_reload_and_each_kind_has_its_form(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "asking")
    somebody.say("@asking")
    expect(somebody.button("blue")).to_be_visible()
    somebody.page.reload()
    somebody.button("blue").click()
    somebody.field("Which size?").fill("large")
    somebody.button("Answer").click()
    somebody.has_answer("blue and large")


def test_an_agent_that_fails_says_so_and_nothing_more(visit: Visit) -> None:
    somebody = visit().signed_up().with_workspace("Work", "failing")
    somebody.say("@failing please")
    expect(somebody.answer.locator(".problem")).to_be_visible()
    assert "secret" not in somebody.page.content()


# -- several places, several people ------------------------------------------------------------------------------------


def test_two_tabs_show_one_conversation(visit: Visit) -> None:
    first = visit().signed_up().with_workspace()
    first.say("one")
    first.has_answer("You said: one")
    second = visit(context=first.page.context).go(first.page.url.removeprefix(first.base_url))
    second.has_answer("You said: one")
    second.say("two")
    first.has_answer("You said: two")


def test_a_chat_that_is_deleted_elsewhere_says_so(visitor: Visitor) -> None:
    visitor.say("one")
    visitor.has_answer("You said: one")
    visitor.call("DELETE", f"/chat?chat_id={visitor.chat_id}")
    visitor.sees("The chat was deleted.")
    expect(visitor.composer).to_be_disabled()


def test_a_viewer_reads_what_an_owner_writes(visit: Visit) -> None:
    owner, viewer = visit().signed_up().with_workspace(), visit().signed_up()
    owner.say("one")
    owner.has_answer("You said: one")
    address = owner.page.url.removeprefix(owner.base_url)
    owner.menu("Members")
    owner.field("E-mail").fill(viewer.email)
    owner.field("Role").select_option("Viewer")
    owner.button("Add").click()
    owner.sees(f"{viewer.email} added.")
    viewer.go(address)
    viewer.has_answer("You said: one")
    viewer.sees("You can read this chat. Only its owner writes in it.")
    expect(viewer.composer).to_be_disabled()
    owner.button(f"Remove {viewer.email}").click()
    owner.sees(f"{viewer.email} removed.")
    viewer.page.reload()
    viewer.sees("User does not have access to the workspace")


def test_the_agents_of_a_workspace_are_chosen_by_its_owner(visitor: Visitor) -> None:
    visitor.menu("Agents")
    visitor.button("Add Echo").click()
    visitor.button("Make default: Echo").click()
    visitor.sees("Echo now answers by default.")
    visitor.button("Remove Assistant").click()
    visitor.sees("Assistant removed.")
    visitor.menu("Harbour office")
    visitor.sees("Echo will answer.")
    visitor.say("hello")
    visitor.has_answer("hello")


def test_a_workspace_is_renamed_and_deleted(visitor: Visitor) -> None:
    visitor.menu("Settings")
    visitor.field("Name of the workspace").fill("Shipyard")
    visitor.button("Rename").click()
    expect(visitor.page.get_by_role("link", name="Shipyard", exact=True)).to_be_visible()
    visitor.button("Delete workspace").click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Delete workspace").click()
    visitor.sees("You have no workspace yet.")


# -- the account -------------------------------------------------------------------------------------------------------


def test_wrong_credentials_are_told_apart_as_the_server_tells_them(visit: Visit) -> None:
    somebody = visit().signed_up()
    somebody.button("Sign out").click()
    somebody.sign_in("nobody@example.com")
    somebody.sees("User not found")
    somebody.sign_in(somebody.email, "wrong password")
    somebody.sees("Incorrect password.")
    somebody.sign_in(somebody.email)
    expect(somebody.heading("Workspaces")).to_be_visible()


def test_an_account_is_changed_and_deleted(visit: Visit) -> None:
    somebody = visit().signed_up().go("/#/account")
    somebody.field("Your e-mail").fill(f"new-{somebody.email}")
    somebody.button("Change e-mail").click()
    somebody.sees("E-mail changed.")
    somebody.field("Present password").fill("not my password")
    somebody.field("New password").fill("another battery staple")
    somebody.button("Change password").click()
    somebody.sees("Incorrect password.")
    somebody.field("Present password").fill(PASSWORD)
    somebody.button("Change password").click()
    somebody.sees("Password changed.")
    somebody.button("Delete account").click()
    somebody.page.get_by_role("dialog").get_by_label("Your password").fill("another battery staple")
    somebody.page.get_by_role("dialog").get_by_role("button", name="Delete account").click()
    expect(somebody.heading("Sign in")).to_be_visible()
    somebody.sign_in(f"new-{somebody.email}", "another battery staple")
    somebody.sees("User not found")


def test_an_api_key_is_shown_once_and_works_until_it_is_deleted(visit: Visit) -> None:
    somebody = visit().signed_up().go("/#/account")
    somebody.field("Name of the key").fill("Laptop")
    somebody.button("Create key").click()
    key = somebody.field("API key").input_value()
    somebody.button("I have kept it").click()
    assert key not in somebody.page.content()
    user = f"{somebody.base_url}/user"
    assert somebody.page.request.get(user, headers={"X-Api-Key": key}).json()["user"]["email"] == somebody.email
    somebody.button("Delete key Laptop").click()
    somebody.button("Delete key").click()
    somebody.sees("Key Laptop deleted.")
    assert somebody.page.request.get(user, headers={"X-Api-Key": key}).status == 401


def test_an_access_token_that_has_expired_is_renewed_without_a_word(visitor: Visitor) -> None:
    visitor.page.evaluate("""() => {
        const tokens = JSON.parse(localStorage.getItem('parley.tokens'));
        localStorage.setItem('parley.tokens', JSON.stringify({...tokens, access_token: tokens.access_token + 'x'}));
    }""")
    visitor.page.reload()
    expect(visitor.heading("Harbour office")).to_be_visible()
    visitor.say("still here")
    visitor.has_answer("You said: still here")


def test_signing_out_in_one_tab_ends_the_others(visit: Visit) -> None:
    first = visit().signed_up().with_workspace()
    second = visit(context=first.page.context).go("/#/")
    expect(second.heading("Workspaces")).to_be_visible()
    first.button("Sign out").click()
    expect(second.heading("Sign in")).to_be_visible()
    assert first.page.evaluate("Object.keys(localStorage)") == []


def test_a_sign_in_that_is_ended_elsewhere_ends_here_at_once(visitor: Visitor) -> None:
    visitor.say("one")
    visitor.has_answer("You said: one")
    visitor.call("POST", "/auth/logout")
    expect(visitor.heading("Sign in")).to_be_visible()


def test_an_open_server_lets_everybody_straight_in_and_says_what_an_agent_needs(visit: Visit) -> None:
    server = Stack.started(AUTH="open")
    try:
        somebody = visit(base_url=server.base_url)
        somebody.page.request.post(f"{server.base_url}/register", data={"email": somebody.email, "password": PASSWORD})
        somebody.go()
        expect(somebody.heading("Workspaces")).to_be_visible()
        expect(somebody.button("Sign out")).to_have_count(0)
        somebody.button("New workspace").click()
        somebody.button("Create").click()
        somebody.menu("Agents")
        somebody.sees(re.compile("OPENAI_API_KEY"))
    finally:
        server.stop()


# -- for everybody -----------------------------------------------------------------------------------------------------


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


# -- what is loaded ----------------------------------------------------------------------------------------------------


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
