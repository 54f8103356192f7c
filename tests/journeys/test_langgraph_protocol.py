"""The thread protocol as its clients speak it: both SDKs, unmodified, over server-sent events and WebSockets."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.journeys.javascript import installed, needs_npm, told
from tests.stack import ROOT, Stack
from tests.talk import Person

FOLDER = Path(__file__).parent / "langgraph_js"
GRAPHS = ROOT / "tests" / "graphs" / "states.json"
EVERYTHING = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]
LIMIT_S = 60


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    running = Stack.started(AGENTS_CONFIG=str(GRAPHS))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(stack: Stack) -> Person:
    return Person(stack.base_url)


def headers(person: Person) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.tokens['access_token']}"}


def sdk(person: Person) -> LangGraphClient:
    return get_client(url=person.base_url, headers=headers(person))


def command(person: Person, thread: str, method: str, **params: Any) -> dict[str, Any]:
    body = {"id": 7, "method": method, "params": params}
    answer = httpx.post(f"{person.base_url}/threads/{thread}/commands", json=body, headers=headers(person), timeout=30)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert said["id"] == 7
    return said


def start(person: Person, thread: str, assistant: str, given: Any) -> str:
    said = command(person, thread, "run.start", assistant_id=assistant, input=given)
    assert said["type"] == "success", said
    return str(said["result"]["run_id"])


def events(person: Person, thread: str, *, until: str | None = None, most: int = 10_000, **wanted: Any) -> list[dict[str, Any]]:
    """What the stream says until a root lifecycle event of that name, or until there are so many events."""
    heard: list[dict[str, Any]] = []
    body = {"channels": EVERYTHING, **wanted}
    url = f"{person.base_url}/threads/{thread}/stream/events"
    with httpx.stream("POST", url, json=body, headers=headers(person), timeout=30) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            heard.append(orjson.loads(line.removeprefix("data: ")))
            if len(heard) >= most or (until and is_root(heard[-1], until)):
                break
    return heard


def is_root(event: dict[str, Any], name: str) -> bool:
    return bool(event["method"] == "lifecycle" and event["params"]["namespace"] == [] and event["params"]["data"]["event"] == name)


def name() -> str:
    return f"thread-{uuid.uuid4().hex[:8]}"


# -- Python's client -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_pythons_client_follows_a_thread_over_two_runs(ada: Person, transport: Any) -> None:
    async def story() -> None:
        async with sdk(ada).threads.stream(assistant_id="steps", transport=transport, headers=headers(ada)) as thread:
            await thread.run.start(input={"name": "x"})
            assert [state async for state in thread.values][-1] == {"name": "x", "trail": ["a", "b", "c"]}
            assert await thread.output == {"name": "x", "trail": ["a", "b", "c"]}
            await thread.run.start(input={"name": "y"})
            states = [state async for state in thread.values]
            assert states[-1]["trail"] == ["a", "b", "c"] * 2
            assert (await thread.agent.get_tree())["nodes"]

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_pythons_client_answers_a_question_of_a_subgraph(ada: Person, transport: Any) -> None:
    async def story() -> None:
        async with sdk(ada).threads.stream(assistant_id="subask", transport=transport, headers=headers(ada)) as thread:
            await thread.run.start(input={"question": "q"})
            async for _ in thread.values:
                pass
            assert [asked["value"] for asked in thread.interrupts] == ["from inside?"]
            await thread.run.respond("yes")
            assert (await thread.output)["answers"] == ["yes"]

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))


def test_pythons_client_gets_messages_and_failures(ada: Person) -> None:
    async def story() -> None:
        async with sdk(ada).threads.stream(assistant_id="echo") as thread:
            await thread.run.start(input={"messages": [{"role": "user", "content": "hi"}]})
            messages = [message async for message in thread.messages]
            assert [(await message.output).text for message in messages] == ["You said: hi"]
        async with sdk(ada).threads.stream(assistant_id="failing") as thread:
            await thread.run.start(input={"name": "x"})
            with pytest.raises(RuntimeError, match="The agent failed"):
                await thread.output

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))


# -- JavaScript's client -------------------------------------------------------------------------------------------------


@needs_npm
def test_javascripts_client_streams_talks_answers_and_comes_back(ada: Person) -> None:
    said = told(installed(FOLDER), "--experimental-websocket", "journey.js", ada.base_url, ada.tokens["access_token"])
    assert said["output"] == {"name": "x", "trail": ["a", "b", "c"]}
    assert said["methods"] == ["checkpoints", "tasks", "updates", "values"]
    assert said["tree"]["tree"]["status"] == "completed"
    assert (said["asked"], said["answered"]["answers"], said["again"]) == (["from inside?"], ["yes"], "no_such_interrupt")
    talk = ["hello", "You said: hello", "again", "You said: again"]
    assert (said["talk"], said["back"], said["more"]) == (talk, talk, [*talk, "third", "You said: third"])
    assert (said["question"], said["answers"]) == ({"question": "really?"}, ["yes"])
    assert "The agent failed" in said["failed"]
    assert said["socket"] == ["lifecycle", *["values"] * 4, "lifecycle"]


# -- the wire ------------------------------------------------------------------------------------------------------------


def test_whoever_comes_back_by_number_misses_nothing_and_gets_nothing_twice(ada: Person) -> None:
    thread = name()
    for given in ("x", "y", "z"):
        start(ada, thread, "steps", {"name": given})
        events(ada, thread, until="completed", since=0)
    whole = events(ada, thread, most=60)
    assert [event["seq"] for event in whole] == list(range(1, 61))
    pieces: list[dict[str, Any]] = []
    chance = random.Random(1)
    while len(pieces) < 60:
        since = {"since": pieces[-1]["seq"]} if pieces else {}
        pieces += events(ada, thread, most=min(chance.randint(1, 9), 60 - len(pieces)), **since)
    assert pieces == whole


def test_a_thread_is_listened_to_before_it_is_there(ada: Person) -> None:
    thread = name()
    with socket(ada, thread) as talk:
        talk.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}}))
        assert json.loads(talk.recv(timeout=20))["type"] == "success"
        start(ada, thread, "steps", {"name": "x"})
        assert [json.loads(talk.recv(timeout=20))["params"]["data"]["event"] for _ in range(2)] == ["running", "completed"]


def test_namespaces_and_depth_choose_among_subgraphs(ada: Person) -> None:
    thread = name()
    start(ada, thread, "subask", {"question": "q"})
    whole = events(ada, thread, until="interrupted")
    assert {len(event["params"]["namespace"]) for event in whole} == {0, 1}
    root = events(ada, thread, until="interrupted", namespaces=[[]], depth=0)
    assert root == [event for event in whole if event["params"]["namespace"] == []]
    below = [event for event in whole if event["params"]["namespace"]]
    assert events(ada, thread, most=len(below), namespaces=[["child"]]) == below


def test_the_tree_of_a_run_has_its_subgraphs(ada: Person) -> None:
    thread = name()
    start(ada, thread, "subask", {"question": "q"})
    events(ada, thread, until="interrupted")
    tree = command(ada, thread, "agent.getTree")["result"]["tree"]
    assert (tree["status"], [child["graph_name"] for child in tree["children"]]) == ("interrupted", ["child"])


def test_runs_of_the_classic_routes_are_told_too(ada: Person) -> None:
    thread = name()
    body = {"assistant_id": "steps", "input": {"name": "x"}, "stream_mode": ["values", "updates"], "if_not_exists": "create"}
    httpx.post(f"{ada.base_url}/threads/{thread}/runs/wait", json=body, headers=headers(ada), timeout=30).raise_for_status()
    told = [(event["method"], event["params"].get("node")) for event in events(ada, thread, until="completed")]
    assert told[0] == told[-1] == ("lifecycle", None)
    assert [node for method, node in told if method == "updates"] == ["a", "b", "c"]
    assert ("values", None) in told


def test_a_cursor_that_is_not_known_is_refused(ada: Person) -> None:
    thread = name()
    start(ada, thread, "steps", {"name": "x"})
    events(ada, thread, until="completed")
    url = f"{ada.base_url}/threads/{thread}/stream/events"
    answer = httpx.post(url, json={"channels": ["values"], "since": 999}, headers=headers(ada))
    assert (answer.status_code, answer.json()["error"]) == (410, "since_unknown")


# -- WebSocket -----------------------------------------------------------------------------------------------------------


def socket(person: Person, thread: str, *, query: str = "", shown: dict[str, str] | None = None) -> ClientConnection:
    url = f"{person.base_url.replace('http', 'ws', 1)}/threads/{thread}/stream/events{query}"
    return connect(url, additional_headers=headers(person) if shown is None else shown)


def closed_with(talk: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as ended:
        talk.recv(timeout=30)
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code


def said_until_answered(talk: ClientConnection, number: int, method: str, **params: Any) -> tuple[list[Any], dict[str, Any]]:
    talk.send(json.dumps({"id": number, "method": method, "params": params}))
    before = []
    while (said := json.loads(talk.recv(timeout=30))).get("id") != number:
        before.append(said)
    return before, said


def test_a_socket_sends_each_event_once_however_many_want_it(ada: Person) -> None:
    with socket(ada, name()) as talk:
        for number, channels in enumerate((["values"], ["values", "lifecycle"], ["lifecycle", "tasks"])):
            assert said_until_answered(talk, number, "subscription.subscribe", channels=channels)[1]["type"] == "success"
        talk.send(json.dumps({"id": 9, "method": "run.start", "params": {"assistant_id": "steps", "input": {"name": "x"}}}))
        seqs: list[int] = []
        while True:
            said = json.loads(talk.recv(timeout=30))
            if said["type"] == "event":
                seqs.append(said["seq"])
                if is_root(said, "completed"):
                    break
        assert seqs == sorted(set(seqs))


def test_a_late_subscription_gets_what_was_said_before_it(ada: Person) -> None:
    thread = name()
    start(ada, thread, "steps", {"name": "x"})
    whole = events(ada, thread, until="completed")
    with socket(ada, thread) as talk:
        past, answer = said_until_answered(talk, 1, "subscription.subscribe", channels=EVERYTHING)
        assert (past, answer["result"]["replayed_events"]) == (whole, len(whole))
        some, _ = said_until_answered(talk, 2, "subscription.subscribe", channels=["values"], since=whole[-4]["seq"])
        assert some == [event for event in whole[-3:] if event["method"] == "values"]
        known = answer["result"]["subscription_id"]
        assert said_until_answered(talk, 3, "subscription.unsubscribe", subscription_id=known)[1]["type"] == "success"
        assert said_until_answered(talk, 4, "subscription.unsubscribe", subscription_id=known)[1]["error"] == "no_such_subscription"


def test_a_ticket_opens_one_socket(ada: Person) -> None:
    thread = name()
    path = f"/threads/{thread}/stream/events"
    ticket = httpx.post(f"{ada.base_url}/ws/ticket", json={"path": path}, headers=headers(ada)).json()["ticket"]
    with socket(ada, thread, query=f"?ticket={ticket}", shown={}) as talk:
        assert said_until_answered(talk, 1, "agent.getTree")[1]["error"] == "no_such_run"
    with socket(ada, thread, query=f"?ticket={ticket}", shown={}) as talk:
        assert closed_with(talk) // 100 == 44


def test_nobody_comes_in_without_a_credential(ada: Person) -> None:
    with socket(ada, name(), shown={}) as talk:
        assert closed_with(talk) == 4401


def test_somebody_elses_thread_says_nothing(stack: Stack, ada: Person) -> None:
    thread = name()
    start(ada, thread, "ask", {"question": "q"})
    asked = next(event for event in events(ada, thread, until="interrupted") if event["method"] == "input.requested")
    ben = Person(stack.base_url)
    interrupt_id = asked["params"]["data"]["interrupt_id"]
    assert command(ben, thread, "agent.getTree")["error"] == "no_such_run"
    assert command(ben, thread, "input.respond", interrupt_id=interrupt_id, namespace=[], response=1)["error"] == "no_such_interrupt"


def test_signing_out_ends_streams_and_sockets(stack: Stack) -> None:
    eve = Person(stack.base_url)
    thread = name()
    start(eve, thread, "steps", {"name": "x"})
    url = f"{eve.base_url}/threads/{thread}/stream/events"
    with (
        socket(eve, thread) as talk,
        httpx.stream("POST", url, json={"channels": ["input"]}, headers=headers(eve), timeout=30) as stream,
    ):
        httpx.post(f"{eve.base_url}/auth/logout", headers=headers(eve)).raise_for_status()
        assert closed_with(talk) == 4401
        assert "permission_denied" in "".join(stream.iter_text())


def test_deleting_a_thread_ends_its_sockets(ada: Person) -> None:
    thread = name()
    start(ada, thread, "steps", {"name": "x"})
    events(ada, thread, until="completed")
    with socket(ada, thread) as talk:
        httpx.delete(f"{ada.base_url}/threads/{thread}", headers=headers(ada)).raise_for_status()
        assert closed_with(talk) == 4404
