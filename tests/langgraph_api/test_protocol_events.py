"""What the log says in the thread protocol, and which of it a client gets."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import orjson
import pytest

from server.langgraph_api.protocol_commands import Wrong, filter_of, since_of
from server.langgraph_api.protocol_events import CHANNELS, Facts, Filter, Frame, Narrator, channel_is_known
from server.realtime.events import Event

RUN = uuid.UUID("01a1fae8-280e-731e-a484-8a6f20cfd4c9")
MOMENT = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)


def event(kind: str, data: Any, seq: int = 5) -> Event:
    return Event("thread:x", seq, RUN, seq, kind, orjson.dumps(data), MOMENT)


def told(kind: str, data: Any, facts: Facts | None = None) -> list[dict[str, Any]]:
    return [orjson.loads(frame.text) for frame in Narrator(lambda _: facts).frames(event(kind, data))]


def test_what_the_protocol_has_said_goes_out_as_it_is_stored() -> None:
    said = {"timestamp": 1, "data": {"x": 1}, "node": "a"}
    assert told("v3.updates", said) == [
        {"type": "event", "event_id": "5", "seq": 5, "method": "updates", "params": {"namespace": [], **said}}
    ]


def test_the_namespace_is_in_the_kind() -> None:
    frames = Narrator(lambda _: None).frames(event("v3.values|a:1|b:2", {"timestamp": 1, "data": {}}))
    assert frames[0].namespace == ("a:1", "b:2")
    assert orjson.loads(frames[0].text)["params"]["namespace"] == ["a:1", "b:2"]


def test_a_named_custom_event_has_a_channel_of_its_own() -> None:
    frames = Narrator(lambda _: None).frames(event("v3.custom:a2a", {"timestamp": 1, "data": {"name": "a2a", "payload": 1}}))
    assert (frames[0].method, frames[0].channel) == ("custom", "custom:a2a")


@pytest.mark.parametrize(
    ("status", "happened"),
    [("running", "running"), ("success", "completed"), ("error", "failed"), ("timeout", "failed"), ("cancelled", "interrupted")],
)
def test_the_status_of_a_run_is_a_lifecycle_event_that_names_it(status: str, happened: str) -> None:
    said = told("run", {"run_id": str(RUN), "status": status, "attempt": 1}, Facts("agent", {"message": "Oh."}))
    assert [each["event_id"] for each in said] == [f"synth:{RUN}:lc||{happened}"]
    error = {"error": "Oh."} if happened == "failed" else {}
    assert said[0]["params"]["data"] == {"event": happened, "graph_name": "agent", **error}


def test_a_status_that_the_protocol_does_not_know_is_not_told() -> None:
    assert told("run", {"status": "pending"}) == []


def test_questions_come_before_the_interruption_and_with_a_number_before_it() -> None:
    asked: list[dict[str, Any]] = [{"id": "q1", "value": "really?", "namespace": ["child:1"]}, {"id": "q2", "value": 2}]
    said = told("run", {"status": "interrupted"}, Facts("agent", None, asked))
    assert [each["method"] for each in said] == ["input.requested", "input.requested", "lifecycle"]
    assert [each["seq"] for each in said] == [4, 4, 5]
    assert said[0]["params"]["data"] == {"interrupt_id": "q1", "payload": "really?", "value": "really?"}
    assert said[0]["params"]["namespace"] == ["child:1"]
    assert said[0]["event_id"] == f"synth:{RUN}:input|child:1|q1"


def test_a_run_that_was_deleted_still_ends() -> None:
    assert told("run", {"status": "error"})[0]["params"]["data"] == {"event": "failed", "graph_name": "", "error": "The run failed."}


def test_the_classic_events_that_have_a_channel_are_told() -> None:
    assert told("updates|child:1", {"a": {"x": 1}, "__metadata__": {}})[0]["params"] == {
        "namespace": ["child:1"],
        "timestamp": int(MOMENT.timestamp() * 1000),
        "data": {"x": 1},
        "node": "a",
    }
    assert told("values", {"x": 1, "__interrupt__": []})[0]["params"]["data"] == {"x": 1}
    assert told("custom", "text")[0]["params"]["data"] == {"payload": "text"}
    assert told("messages/partial", []) == told("debug", {}) == told("error", {"message": "x"}) == []


def test_updates_of_several_nodes_have_ids_of_their_own() -> None:
    assert [each["event_id"] for each in told("updates", {"a": 1, "b": 2})] == ["5", "5.1"]


# -- which of it ---------------------------------------------------------------------------------------------------------


def frame(channel: str, *namespace: str) -> Frame:
    return Frame(1, channel.partition(":")[0], channel, namespace, b"{}")


@pytest.mark.parametrize(
    ("namespaces", "depth", "namespace", "is_wanted"),
    [
        ([], None, ("a:1", "b:2"), True),
        ([], 0, ("a:1", "b:2"), True),  # a depth counts from a beginning
        ([()], 0, (), True),
        ([()], 0, ("a:1",), False),
        ([()], 1, ("a:1",), True),
        ([("a",)], None, ("a:1", "b:2"), True),
        ([("a",)], 0, ("a:1", "b:2"), False),
        ([("a:1",)], None, ("a:1",), True),
        ([("a:2",)], None, ("a:1",), False),
        ([("b",)], None, ("a:1",), False),
        ([("a", "b")], None, ("a:1",), False),
        ([("x",), ("a",)], 1, ("a:1", "b:2"), True),
    ],
)
def test_namespaces_and_depth(namespaces: Any, depth: int | None, namespace: tuple[str, ...], is_wanted: bool) -> None:
    assert Filter(frozenset(["values"]), namespaces, depth).wants(frame("values", *namespace)) is is_wanted


def test_custom_means_all_of_them_and_a_name_means_one() -> None:
    assert Filter(frozenset(["custom"])).wants(frame("custom:x"))
    assert Filter(frozenset(["custom:x"])).wants(frame("custom:x"))
    assert not Filter(frozenset(["custom:y"])).wants(frame("custom:x"))
    assert not Filter(frozenset(["values"])).wants(frame("custom:x"))


def test_channels_that_are_known() -> None:
    assert all(map(channel_is_known, [*CHANNELS, "custom:x"]))
    assert not any(map(channel_is_known, ["custom:", "nope", 1, None, ["values"]]))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"channels": []},
        {"channels": "values"},
        {"channels": ["nope"]},
        {"channels": [["values"]]},
        {"channels": ["values"], "namespaces": "x"},
        {"channels": ["values"], "namespaces": ["x"]},
        {"channels": ["values"], "namespaces": [[1]]},
        {"channels": ["values"], "depth": -1},
        {"channels": ["values"], "depth": True},
        {"channels": ["values"], "since": -1},
        {"channels": ["values"], "since": "1"},
        {"channels": ["values"], "since": True},
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(Wrong) as wrong:
        filter_of(params, "subscription.subscribe")
        since_of(params)
    assert wrong.value.code == "invalid_argument"
