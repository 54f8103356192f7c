"""Runs as both clients of Python's SDK speak of them: every method, unmodified."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from server.agents.assistants import system_id
from tests.journeys.sdk import CLIENTS, Sdk, refused, spoken
from tests.stack import Stack, eventually
from tests.talk import Person

LONG = "for=60"


@pytest.fixture(params=CLIENTS)
def sdk(request: pytest.FixtureRequest, ada: Person) -> Iterator[Sdk]:
    with spoken(request.param, ada) as client:
        yield client


@pytest.fixture
def thread() -> str:
    return f"thread-{uuid.uuid4().hex[:8]}"


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def texts(values: dict[str, Any]) -> list[str]:
    return [message["content"] for message in values["messages"]]


def test_a_run_is_started_waited_for_looked_up_and_deleted(sdk: Sdk, thread: str) -> None:
    noted: list[Any] = []
    run = sdk.runs.create(
        thread,
        "slow",
        input=said("n=3"),
        metadata={"by": "test"},
        if_not_exists="create",
        stream_mode=["values"],
        on_run_created=noted.append,
    )
    assert (run["status"], run["thread_id"], run["assistant_id"]) == ("pending", thread, str(system_id("slow")))
    assert noted == [{"run_id": run["run_id"], "thread_id": thread}]
    assert texts(sdk.runs.join(thread, run["run_id"])) == ["n=3", "1 2 3 "]
    shown = sdk.runs.get(thread, run["run_id"])
    assert (shown["status"], shown["metadata"]["by"], texts(shown["output"])) == ("success", "test", ["n=3", "1 2 3 "])
    assert sdk.runs.list(thread, status="success", limit=5, offset=0, select=["run_id"]) == [{"run_id": run["run_id"]}]
    sdk.runs.delete(thread, run["run_id"])
    refused(404, lambda: sdk.runs.get(thread, run["run_id"]))
    assert sdk.threads.get(thread)["metadata"]["graph_id"] == "slow"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_run_is_streamed_while_it_is_carried_out(sdk: Sdk, thread: str, version: Any) -> None:
    modes = ["values", "updates", "messages-tuple"]
    heard = sdk.runs.stream(thread, "slow", input=said("n=3"), stream_mode=modes, if_not_exists="create", version=version)
    if version == "v2":
        assert {part["type"] for part in heard} == {"metadata", "values", "updates", "messages"}
        return
    assert (heard[0].event, heard[-1].event) == ("metadata", "end")
    assert [part.id.rpartition("_event_")[2] for part in heard] == [str(number) for number in range(len(heard))]
    spoken_words = [part.data[0]["content"] for part in heard if part.event == "messages" and part.data[0]["type"] == "AIMessageChunk"]
    assert "".join(spoken_words) == "1 2 3 "
    assert texts([part.data for part in heard if part.event == "values"][-1]) == ["n=3", "1 2 3 "]


def test_a_stream_is_gone_on_with_from_any_event(sdk: Sdk, thread: str) -> None:
    run_id = sdk.runs.create(thread, "slow", input=said("n=5"), stream_mode=["messages-tuple", "values"], if_not_exists="create")["run_id"]
    whole = sdk.runs.join_stream(thread, run_id)
    for number, part in enumerate(whole):
        rest = sdk.runs.join_stream(thread, run_id, last_event_id=part.id)
        assert [each.id for each in rest] == [each.id for each in whole[number + 1 :]]
    assert sdk.runs.join_stream(thread, run_id, last_event_id="-1") == whole
    assert {part.event for part in sdk.runs.join_stream(thread, run_id, stream_mode="values")} >= {"values"}
    refused(410, lambda: sdk.runs.join_stream(thread, run_id, last_event_id=f"{run_id}_event_100000"))


def test_a_question_is_asked_and_answered(sdk: Sdk, thread: str) -> None:
    asked = sdk.runs.wait(thread, "asking", input=said("hello"), if_not_exists="create")
    assert asked["__interrupt__"][0]["value"]["question"] == "Which colour?"
    assert sdk.threads.get(thread)["status"] == "interrupted"
    second = sdk.runs.wait(thread, "asking", command={"resume": "red"})
    assert second["__interrupt__"][0]["value"] == "Which size?"
    assert texts(sdk.runs.wait(thread, "asking", command={"resume": "large"}))[-1] == "red and large"
    assert sdk.threads.get(thread)["status"] == "idle"
    refused(409, lambda: sdk.runs.wait(thread, "asking", command={"resume": "large"}))


def test_a_run_without_a_thread_has_one_of_its_own(sdk: Sdk) -> None:
    assert texts(sdk.runs.wait(None, "slow", input=said("n=2")))[-1] == "1 2 "
    heard = sdk.runs.stream(None, "slow", input=said("n=2"), stream_mode="values")
    assert texts(heard[-2].data)[-1] == "1 2 "
    run = sdk.runs.create(None, "slow", input=said("n=2"), on_completion="keep")
    assert texts(sdk.runs.join(run["thread_id"], run["run_id"]))[-1] == "1 2 "
    batch = sdk.runs.create_batch([{"assistant_id": "slow", "input": said("n=1")}, {"assistant_id": "slow", "input": said("n=2")}])
    assert [texts(sdk.runs.join(each["thread_id"], each["run_id"]))[-1] for each in batch] == ["1 ", "1 2 "]


def test_a_failed_run_says_so_and_no_more(sdk: Sdk, thread: str) -> None:
    with pytest.raises(Exception, match="ValueError") as caught:
        sdk.runs.wait(thread, "failing", input=said("x"), if_not_exists="create")
    assert "secret" not in str(caught.value)
    assert sdk.runs.wait(thread, "failing", input=said("x"), raise_error=False)["__error__"]["error"] == "ValueError"
    assert sdk.runs.list(thread)[0]["status"] == "error"


def test_runs_are_stopped(sdk: Sdk, thread: str) -> None:
    run_id = sdk.runs.create(thread, "waiting", input=said(LONG), if_not_exists="create")["run_id"]
    eventually(lambda: sdk.runs.get(thread, run_id)["status"] == "running", what="the run's beginning")
    sdk.runs.cancel(thread, run_id, wait=True)
    stopped = sdk.runs.get(thread, run_id)
    assert (stopped["status"], bool(stopped["cancelled_at"])) == ("interrupted", True)
    assert sdk.threads.get(thread)["status"] == "idle"
    gone = [sdk.runs.create(thread, "waiting", input=said(LONG))["run_id"] for _ in range(2)]
    sdk.runs.cancel_many(thread_id=thread, run_ids=gone, action="rollback")
    eventually(lambda: [each["run_id"] for each in sdk.runs.list(thread)] == [run_id], what="the end of what is taken back")


@pytest.mark.parametrize(("strategy", "statuses"), [("interrupt", ["success", "interrupted"]), ("rollback", ["success"])])
def test_a_second_run_takes_the_place_of_the_first(sdk: Sdk, thread: str, strategy: Any, statuses: list[str]) -> None:
    sdk.runs.create(thread, "waiting", input=said(LONG), if_not_exists="create")
    refused(409, lambda: sdk.runs.create(thread, "slow", input=said("n=1"), multitask_strategy="reject"))
    assert texts(sdk.runs.wait(thread, "slow", input=said("n=1"), multitask_strategy=strategy))[-1] == "1 "
    eventually(lambda: [each["status"] for each in sdk.runs.list(thread)] == statuses, what="the end of the first")


def test_a_run_can_begin_later_and_at_an_earlier_state(sdk: Sdk, thread: str) -> None:
    sdk.runs.wait(thread, "slow", input=said("n=1"), if_not_exists="create")
    first = sdk.threads.get_state(thread)["checkpoint"]
    sdk.runs.wait(thread, "slow", input=said("n=2"), durability="exit")
    forked = sdk.runs.wait(thread, "slow", input=said("n=3"), checkpoint=first, after_seconds=1)
    assert texts(forked) == ["n=1", "1 ", "n=3", "1 2 3 "]


def test_what_is_somebody_elses_is_not_there(agents: Stack, sdk: Sdk, thread: str) -> None:
    run_id = sdk.runs.create(thread, "slow", input=said("n=1"), if_not_exists="create")["run_id"]
    with spoken("sync", Person(agents.base_url)) as ben:
        for call in (ben.runs.get, ben.runs.join, ben.runs.join_stream, ben.runs.cancel, ben.runs.delete):
            refused(404, lambda call=call: call(thread, run_id))
