"""Threads as the SDK speaks of them: state, history, time travel, forks, copies; a worker has the agents' code."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import APIStatusError

from tests.stack import ROOT, Stack, eventually
from tests.talk import Person

GRAPHS = ROOT / "tests" / "graphs" / "states.json"
LEFT_BEHIND = {"answers": ["mine"]}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    running = Stack.started(AGENTS_CONFIG=str(GRAPHS))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def sdk(stack: Stack) -> SyncLangGraphClient:
    return client_of(Person(stack.base_url))


def client_of(person: Person) -> SyncLangGraphClient:
    return get_sync_client(url=person.base_url, headers={"Authorization": f"Bearer {person.tokens['access_token']}"})


def name() -> str:
    return f"thread-{uuid.uuid4().hex[:8]}"


def ran(sdk: SyncLangGraphClient, graph: str, input: Any, thread_id: str | None = None, **options: Any) -> str:
    """A thread on which a run has ended."""
    known = thread_id or sdk.threads.create(thread_id=name())["thread_id"]
    sdk.runs.wait(known, graph, input=input, raise_error=False, **options)
    return known


def named_in(value: Any, key: str) -> set[str]:
    """Everything that stands under a key, however deep."""
    if isinstance(value, list):
        return set().union(*(named_in(each, key) for each in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    mine = {value[key]} if isinstance(value.get(key), str) else set()
    return mine.union(*(named_in(each, key) for each in value.values()))


def refused(sdk: SyncLangGraphClient, status: int, verb: str, *words: Any, **options: Any) -> str:
    """What the SDK's verb of threads is refused with."""
    with pytest.raises(APIStatusError) as caught:
        getattr(sdk.threads, verb)(*words, **options)
    assert caught.value.response.status_code == status, caught.value.response.text
    return str(caught.value.response.json()["detail"])


def test_the_state_of_a_thread_is_told_under_its_own_name(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "steps", {"name": "x", "trail": ["0"]})
    state: Any = sdk.threads.get_state(thread)
    assert state["values"] == {"name": "x", "trail": ["0", "a", "b", "c"]}
    assert (state["next"], state["tasks"], state["interrupts"]) == ([], [], [])
    assert state["checkpoint_id"] == state["checkpoint"]["checkpoint_id"]
    assert state["metadata"]["step"] == 3
    assert named_in([state, sdk.threads.get_history(thread)], "thread_id") == {thread}
    shown = sdk.threads.get(thread)
    assert (shown["status"], shown["values"], shown["metadata"]["graph_id"]) == ("idle", state["values"], "steps")


def test_a_thread_without_runs_has_an_empty_state(sdk: SyncLangGraphClient) -> None:
    for metadata in ({}, {"graph_id": "steps"}):
        thread = sdk.threads.create(metadata=metadata)["thread_id"]
        state: Any = sdk.threads.get_state(thread, subgraphs=True)
        assert (state["values"], state["next"], state["checkpoint"], state["metadata"]) == ({}, [], None, None)
        assert sdk.threads.get_history(thread) == []


def test_messages_are_told_in_the_shape_that_clients_know(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "echo", {"messages": [{"role": "user", "content": "hi"}]})
    asked, said = sdk.threads.get_state(thread)["values"]["messages"]
    assert (asked["type"], asked["content"]) == ("human", "hi")
    assert (said["type"], said["content"], said["tool_calls"]) == ("ai", "You said: hi", [])


def test_history_is_paged_backwards_by_any_name_of_a_checkpoint(sdk: SyncLangGraphClient, stack: Stack) -> None:
    thread = ran(sdk, "steps", {"trail": ["0"]})
    states: Any = sdk.threads.get_history(thread, limit=10)
    assert [each["next"] for each in states] == [[], ["c"], ["b"], ["a"], ["__start__"]]
    checkpoint = states[1]["checkpoint"]
    for before in (checkpoint["checkpoint_id"], checkpoint, {"configurable": checkpoint}):
        page: Any = sdk.threads.get_history(thread, limit=2, before=before)
        assert page == states[2:4], before
    assert sdk.http.get(f"/threads/{thread}/history", params={"limit": 2, "before": checkpoint["checkpoint_id"]}) == states[2:4]
    assert sdk.threads.get_history(thread, limit=9, metadata={"step": 1}) == [states[2]]
    assert sdk.http.post(f"/threads/{thread}/history", json={}) == states[:1]


def test_a_state_is_shown_in_part_when_asked_for(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "steps", {"name": "x"})
    assert sdk.threads.get_state(thread, select=["values.trail", "next"]) == {"next": [], "values": {"trail": ["a", "b", "c"]}}
    assert sdk.threads.get_history(thread, limit=1, select=["values.name"]) == [{"values": {"name": "x"}}]
    assert "zz" in refused(sdk, 422, "get_state", thread, select=["zz"])


def test_a_thread_travels_back_in_time(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "steps", {"trail": ["0"]})
    then: Any = sdk.threads.get_history(thread, limit=10)[2]
    assert sdk.threads.get_state(thread, checkpoint_id=then["checkpoint_id"]) == then
    assert sdk.threads.get_state(thread, checkpoint=then["checkpoint"]) == then
    forked = sdk.threads.update_state(thread, {"trail": ["fork"]}, as_node="a", checkpoint=then["checkpoint"])["checkpoint"]
    state: Any = sdk.threads.get_state(thread)
    assert state["checkpoint"] == {**forked}
    assert (state["values"]["trail"], state["next"], state["metadata"]["source"]) == (["0", "a", "fork"], ["b"], "update")
    assert state["parent_checkpoint"] == then["checkpoint"]
    shown = sdk.threads.get(thread)
    assert (shown["status"], shown["values"]) == ("interrupted", state["values"])
    ran(sdk, "steps", None, thread)
    assert sdk.threads.get(thread)["values"]["trail"] == ["0", "a", "fork", "b", "c"]
    assert sdk.threads.get(thread)["status"] == "idle"


def test_an_unknown_checkpoint_has_an_empty_state(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "steps", {})
    state: Any = sdk.threads.get_state(thread, checkpoint_id="019f0000-0000-7000-8000-000000000000")
    assert (state["values"], state["created_at"], state["checkpoint_id"]) == ({}, None, "019f0000-0000-7000-8000-000000000000")


def test_open_questions_are_on_the_thread_and_in_its_state(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "twoasks", {})
    state, shown = sdk.threads.get_state(thread), sdk.threads.get(thread)
    assert shown["status"] == "interrupted"
    assert {task["id"]: task["interrupts"] for task in state["tasks"]} == shown["interrupts"]
    assert sorted(each["value"] for each in state["interrupts"]) == ["left?", "right?"]
    assert {name for each in state["interrupts"] for name in each} == {"id", "value"}


def test_a_human_may_answer_by_changing_the_state(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "ask", {"question": "ok?"})
    sdk.threads.update_state(thread, {"answers": ["changed"]}, as_node="ask")
    shown = sdk.threads.get(thread)
    assert (shown["status"], shown["interrupts"], shown["values"]["answers"]) == ("idle", {}, ["changed"])


def test_subgraphs_have_states_of_their_own(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "subask", {})
    flat: Any = sdk.threads.get_state(thread)
    place = flat["tasks"][0]["checkpoint"]
    deep: Any = sdk.threads.get_state(thread, subgraphs=True)
    inner: Any = sdk.threads.get_state(thread, checkpoint=place)
    assert flat["tasks"][0]["state"] is None
    assert deep["tasks"][0]["checkpoint"] is None
    assert inner == deep["tasks"][0]["state"]
    assert inner["next"] == ["inner"]
    assert inner["checkpoint"]["checkpoint_map"][""] == flat["checkpoint_id"]
    history = sdk.threads.get_history(thread, checkpoint=place)
    assert history[0]["checkpoint"] == inner["checkpoint"]
    assert named_in([flat, deep, inner, history], "thread_id") == {thread}
    stored = sdk.threads.update_state(thread, LEFT_BEHIND, checkpoint=place)["checkpoint"]
    assert stored["checkpoint_ns"] == place["checkpoint_ns"]
    assert sdk.threads.get_state(thread, checkpoint=place)["values"] == LEFT_BEHIND


def test_what_a_node_raised_is_told_by_its_kind_alone(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "failing", {})
    state: Any = sdk.threads.get_state(thread)
    assert (state["next"], state["tasks"][0]["error"]) == (["fail"], "ValueError")
    assert sdk.threads.get(thread)["status"] == "error"
    assert "secret" not in str(state) + str(sdk.threads.get(thread))


@pytest.mark.parametrize(
    ("update", "status", "words"),
    [
        ({"values": {"trail": ["x"]}, "as_node": "zz"}, 400, "Node zz does not exist"),
        ({"values": [{"trail": ["x"]}], "as_node": "a"}, 400, "Expected dict"),
        ({"values": {"trail": 7}, "as_node": "a"}, 400, "TypeError"),
        ({"values": {}, "checkpoint": {"checkpoint_ns": "zz:1"}}, 400, "Subgraph zz not found"),
        ({"values": "x"}, 422, "values"),
    ],
)
def test_an_update_that_the_graph_does_not_take_is_refused_in_words(
    sdk: SyncLangGraphClient, update: dict[str, Any], status: int, words: str
) -> None:
    thread = ran(sdk, "steps", {})
    before = sdk.threads.get_state(thread)
    with pytest.raises(APIStatusError) as caught:
        sdk.http.post(f"/threads/{thread}/state", json=update)
    assert caught.value.response.status_code == status
    assert words in caught.value.response.json()["detail"]
    assert sdk.threads.get_state(thread) == before


def test_a_thread_without_a_graph_or_with_one_that_is_gone_takes_no_update(sdk: SyncLangGraphClient) -> None:
    thread = sdk.threads.create()["thread_id"]
    assert "has no assigned graph ID" in refused(sdk, 400, "update_state", thread, {})
    sdk.threads.update(thread, metadata={"graph_id": "gone"})
    for verb, *words in (("update_state", {}), ("get_state",), ("get_history",)):
        assert "Graph 'gone' not found" in refused(sdk, 404, verb, thread, *words)


def test_the_state_of_a_busy_thread_is_shown_and_not_changed(sdk: SyncLangGraphClient) -> None:
    thread = sdk.threads.create()["thread_id"]
    run = sdk.runs.create(thread, "steps", input={}, after_seconds=60)
    assert sdk.threads.get(thread)["status"] == "busy"
    assert sdk.threads.get_state(thread)["values"] == {}
    assert "not done" in refused(sdk, 409, "update_state", thread, {"trail": ["x"]}, as_node="a")
    sdk.runs.cancel(thread, run["run_id"])
    sdk.threads.update_state(thread, {"trail": ["x"]}, as_node="a")


def test_a_thread_can_be_made_with_a_state(sdk: SyncLangGraphClient) -> None:
    supersteps: Any = [
        {"updates": [{"values": {"trail": ["in"]}, "as_node": "__input__"}]},
        {"updates": [{"values": None, "command": {"update": {"trail": ["a"]}, "goto": "c"}, "as_node": "a"}]},
    ]
    made = sdk.threads.create(thread_id=name(), graph_id="steps", supersteps=supersteps)
    assert (made["values"], made["status"]) == ({"trail": ["a"]}, "interrupted")
    assert sorted(sdk.threads.get_state(made["thread_id"])["next"]) == ["b", "c"]
    assert len(sdk.threads.get_history(made["thread_id"])) == 2


@pytest.mark.parametrize(("graph", "status"), [("steps", 400), (None, 400), ("gone", 404)])
def test_a_thread_whose_state_cannot_be_written_is_not_made(sdk: SyncLangGraphClient, graph: str | None, status: int) -> None:
    known = name()
    supersteps: Any = [{"updates": [{"values": {}, "as_node": "zz"}]}]
    refused(sdk, status, "create", thread_id=known, graph_id=graph, supersteps=supersteps)
    refused(sdk, 404, "get", known)


def test_a_copy_goes_its_own_way(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "ask", {"question": "ok?"})
    before: Any = sdk.threads.get_history(thread)
    copy: Any = sdk.threads.copy(thread)
    known = copy["thread_id"]
    assert known != thread
    assert (copy["status"], copy["values"], copy["metadata"]) == ("interrupted", {"question": "ok?", "answers": []}, copy["metadata"])
    copied: Any = sdk.threads.get_history(known)
    assert [each["checkpoint_id"] for each in copied] == [each["checkpoint_id"] for each in before]
    assert named_in(copied, "thread_id") == {known}
    ran(sdk, "ask", None, known, command={"resume": "yes"})
    assert sdk.threads.get_state(known)["values"]["answers"] == ["yes"]
    assert sdk.threads.get_history(thread) == before
    sdk.threads.delete(thread)
    assert sdk.threads.get_state(known)["values"]["answers"] == ["yes"]


def test_keeping_the_latest_keeps_the_state_alone(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "twoasks", {})
    before: Any = sdk.threads.get_state(thread)
    assert sdk.threads.prune([thread, "nobodys"], strategy="keep_latest") == {"pruned_count": 1}
    after: Any = sdk.threads.get_state(thread)
    assert len(sdk.threads.get_history(thread)) == 1
    assert after == {**before, "parent_checkpoint": None, "parent_checkpoint_id": None}
    ran(sdk, "twoasks", None, thread, command={"resume": {each["id"]: "x" for each in after["interrupts"]}})
    assert sdk.threads.get_state(thread)["values"]["answers"] == ["x", "x"]


def test_a_run_that_is_rolled_back_leaves_its_thread_as_it_was(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "steps", {"trail": ["0"]})
    before, shown = sdk.threads.get_history(thread), sdk.threads.get(thread)
    run = sdk.runs.create(thread, "steps", input={"trail": ["late"]}, after_seconds=60)
    sdk.runs.cancel(thread, run["run_id"], wait=True, action="rollback")
    eventually(lambda: len(sdk.runs.list(thread)) == 1, what="the end of the run")
    after: Any = sdk.threads.get(thread)
    assert sdk.threads.get_history(thread) == before
    assert {name: after[name] for name in ("status", "values", "interrupts")} == {
        name: shown[name]
        for name in ("status", "values", "interrupts")  # type: ignore[literal-required]
    }


def test_two_owners_of_one_name_never_meet(sdk: SyncLangGraphClient, stack: Stack) -> None:
    other = client_of(Person(stack.base_url))
    known = name()
    for each, text in ((sdk, "one"), (other, "two")):
        each.threads.create(thread_id=known)
        ran(each, "steps", {"name": text}, known)
    assert [each.threads.get_state(known)["values"]["name"] for each in (sdk, other)] == ["one", "two"]
    sdk.threads.delete(known)
    for verb, *words in (("get",), ("get_state",), ("get_history",), ("update_state", {}), ("copy",), ("delete",)):
        assert refused(sdk, 404, verb, known, *words) == f"Thread with ID {known} not found"
    assert other.threads.get_state(known)["values"]["name"] == "two"


def test_a_deleted_thread_leaves_nothing_to_a_new_one_of_its_name(sdk: SyncLangGraphClient) -> None:
    thread = ran(sdk, "steps", {})
    sdk.threads.delete(thread)
    sdk.threads.create(thread_id=thread, graph_id="steps")
    assert sdk.threads.get_state(thread)["values"] == {}
