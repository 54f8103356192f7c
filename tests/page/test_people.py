"""The page in a real browser, over a real server: what people do with it from the first visit on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.visitor import PASSWORD, Visitor
from tests.stack import Stack

pytestmark = pytest.mark.browser

HARBOUR = b"# Harbour\n\nThe harbour opens at half past five in summer.\n\n# Berths\n\nA berth is booked the day before.\n"


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
