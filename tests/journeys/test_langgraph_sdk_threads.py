"""Threads as both clients of Python's SDK speak of them: every method, unmodified."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from tests.journeys.sdk import CLIENTS, Sdk, refused, spoken
from tests.stack import Stack
from tests.talk import Person


@pytest.fixture(params=CLIENTS)
def sdk(request: pytest.FixtureRequest, ada: Person) -> Iterator[Sdk]:
    with spoken(request.param, ada) as client:
        yield client


def name() -> str:
    return f"thread-{uuid.uuid4().hex[:8]}"


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def texts(values: dict[str, Any]) -> list[str]:
    """What the messages say; what came by the thread protocol is in blocks."""
    return ["".join(block["text"] for block in said) if isinstance(said, list) else said for said in contents(values)]


def contents(values: dict[str, Any]) -> list[Any]:
    return [message["content"] for message in values["messages"]]


def test_a_thread_is_made_found_changed_and_deleted(sdk: Sdk) -> None:
    thread, mark = name(), {"mark": uuid.uuid4().hex}
    made = sdk.threads.create(thread_id=thread, metadata=mark, graph_id="slow", ttl={"ttl": 90, "strategy": "delete"})
    assert (made["thread_id"], made["status"], made["metadata"]["graph_id"]) == (thread, "idle", "slow")
    assert sdk.threads.get(thread, include=["ttl"])["ttl"]["ttl_minutes"] == 90
    refused(409, lambda: sdk.threads.create(thread_id=thread))
    assert sdk.threads.create(thread_id=thread, if_exists="do_nothing")["created_at"] == made["created_at"]
    assert sdk.threads.update(thread, metadata={"more": 1}, ttl=60)["metadata"].items() >= {**mark, "more": 1}.items()
    assert sdk.threads.update(thread, metadata={"more": 2}, return_minimal=True) is None
    assert sdk.threads.count(metadata=mark, status="idle") == 1
    found = sdk.threads.search(metadata=mark, ids=[thread], sort_by="created_at", sort_order="desc", select=["thread_id", "metadata"])
    assert [(each["thread_id"], each["metadata"]["more"]) for each in found] == [(thread, 2)]
    sdk.threads.delete(thread)
    refused(404, lambda: sdk.threads.get(thread))


def test_the_state_of_a_thread_is_read_written_and_gone_back_to(sdk: Sdk) -> None:
    thread = sdk.threads.create(thread_id=name())["thread_id"]
    sdk.runs.wait(thread, "slow", input=said("n=2"))
    state = sdk.threads.get_state(thread, subgraphs=True)
    assert (texts(state["values"]), state["next"]) == (["n=2", "1 2 "], [])
    written = sdk.threads.update_state(thread, said("an afterthought"), as_node="answer")["checkpoint"]
    assert texts(sdk.threads.get_state(thread)["values"])[-1] == "an afterthought"
    assert texts(sdk.threads.get_state(thread, checkpoint_id=state["checkpoint"]["checkpoint_id"])["values"]) == ["n=2", "1 2 "]
    assert sdk.threads.get_state(thread, checkpoint=written)["checkpoint"]["checkpoint_id"] == written["checkpoint_id"]
    newest, *older = sdk.threads.get_history(thread, limit=10)
    assert newest["checkpoint"]["checkpoint_id"] == written["checkpoint_id"]
    for before in (written, written["checkpoint_id"]):
        assert sdk.threads.get_history(thread, limit=10, before=before) == older


def test_a_thread_is_copied_with_its_history_and_pruned(sdk: Sdk) -> None:
    thread = sdk.threads.create(thread_id=name())["thread_id"]
    sdk.runs.wait(thread, "slow", input=said("n=2"))
    copied = sdk.threads.copy(thread)
    twin = copied["thread_id"]
    assert (len(sdk.threads.get_history(twin)), texts(copied["values"])) == (3, ["n=2", "1 2 "])
    assert sdk.threads.prune([thread], strategy="keep_latest")["pruned_count"] == 1
    assert len(sdk.threads.get_history(thread)) == 1
    assert sdk.threads.prune([thread, twin])["pruned_count"] == 2
    refused(404, lambda: sdk.threads.get(twin))


def test_a_state_is_made_without_a_run(sdk: Sdk) -> None:
    steps = [{"updates": [{"values": said(text), "as_node": node}]} for text, node in (("hi", "__start__"), ("ho", "answer"))]
    thread = sdk.threads.create(graph_id="slow", supersteps=steps)["thread_id"]
    assert texts(sdk.threads.get_state(thread)["values"]) == ["hi", "ho"]
    asked = {"last": "values.messages[-1].content"}
    assert sdk.threads.search(ids=[thread], values={}, extract=asked)[0]["extracted"] == {"last": "ho"}


def test_somebody_who_joins_a_thread_hears_its_runs(ada: Person) -> None:
    thread = name()
    with spoken("sync", ada) as sdk:
        sdk.threads.create(thread_id=thread)
        heard = list(_until_done(sdk.client.threads.join_stream(thread, stream_mode=["run_modes"]), sdk, thread))
        assert heard[0].event == "metadata"
        assert texts(heard[-2].data) == ["n=2", "1 2 "]
        again = _first(sdk.client.threads.join_stream(thread, last_event_id="-1"), len(heard))
        assert [(part.event, part.data) for part in again] == [(part.event, part.data) for part in heard]


def _until_done(stream: Any, sdk: Sdk, thread: str) -> Iterator[Any]:
    threading.Timer(0.3, lambda: sdk.runs.create(thread, "slow", input=said("n=2"))).start()
    for part in stream:
        yield part
        if part.event == "metadata" and part.data.get("status") == "run_done":
            return


def _first(stream: Any, count: int) -> list[Any]:
    return list(islice(stream, count))


def test_the_async_client_joins_a_thread_too(ada: Person) -> None:
    thread = name()

    async def story(client: Any) -> list[str]:
        events = []
        async for part in await client.threads.join_stream(thread, last_event_id="-1"):
            events.append(part.event)
            if part.event == "metadata" and part.data.get("status") == "run_done":
                break
        return events

    with spoken("async", ada) as sdk:
        sdk.runs.wait(thread, "slow", input=said("n=2"), if_not_exists="create")
        assert sdk.run(story(sdk.client))[0] == "metadata"


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_the_sync_client_streams_a_thread(ada: Person, transport: Any) -> None:
    with (
        spoken("sync", ada) as sdk,
        sdk.client.threads.stream(assistant_id="slow", transport=transport, headers=dict(sdk.client.http.client.headers)) as thread,
    ):
        thread.run.start(input=said("n=3"))
        assert texts(list(thread.values)[-1]) == ["n=3", "1 2 3 "]
        assert texts(thread.output) == ["n=3", "1 2 3 "]


def test_the_async_client_streams_a_thread(ada: Person) -> None:
    async def story(client: Any) -> list[str]:
        async with client.threads.stream(assistant_id="slow") as thread:
            await thread.run.start(input=said("n=3"))
            return texts(await thread.output)

    with spoken("async", ada) as sdk:
        assert sdk.run(story(sdk.client)) == ["n=3", "1 2 3 "]


def test_what_is_somebody_elses_is_not_there(agents: Stack, sdk: Sdk) -> None:
    thread = sdk.threads.create(thread_id=name())["thread_id"]
    with spoken("sync", Person(agents.base_url)) as ben:
        for call in (ben.threads.get, ben.threads.get_state, ben.threads.delete, ben.threads.copy, ben.runs.list):
            refused(404, lambda call=call: call(thread))
        assert ben.threads.create(thread_id=thread)["metadata"] == {}
