"""A graph as the thread protocol tells it."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import orjson
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from server.engine import protocol
from server.engine.job import Options
from server.langgraph_api.protocol_events import PREFIX

CONFIG: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    trail: Annotated[list[Any], operator.add]


def step(name: str) -> Any:
    def run(state: State) -> State:
        get_stream_writer()({"in": name})
        return {"trail": [name]}

    return run


def asking(state: State) -> State:
    return {"trail": [interrupt("really?")]}


def failing(state: State) -> State:
    raise ValueError("A secret.")


def graph_of(*nodes: Any, state: Any = State) -> Any:
    graph = StateGraph(state)
    for number, node in enumerate(nodes):
        graph.add_node(f"n{number}", node)
        graph.add_edge(f"n{number - 1}" if number else START, f"n{number}")
    return graph.compile()


def heard(graph: Any, given: Any, **options: Any) -> tuple[list[tuple[str, Any]], protocol.Telling]:
    telling = protocol.events(graph, given, CONFIG, None, Options(thread="t", **options))

    async def listen() -> list[tuple[str, Any]]:
        return [(kind, orjson.loads(data)) async for kind, data in telling]

    return asyncio.run(listen()), telling


def kinds(told: list[tuple[str, Any]]) -> list[str]:
    return [kind.removeprefix(protocol.PREFIX) for kind, _ in told]


def test_the_engine_and_the_door_call_it_the_same() -> None:
    assert protocol.PREFIX == PREFIX


def test_each_state_comes_right_after_its_checkpoint() -> None:
    told, telling = heard(graph_of(step("a")).copy({"checkpointer": InMemorySaver()}), {"trail": []})
    assert kinds(told) == [
        "checkpoints",
        "checkpoints",
        "values",
        "tasks",
        "custom",
        "updates",
        "tasks",
        "checkpoints",
        "values",
    ]
    data = [each["data"] for _, each in told]
    assert (data[0]["step"], data[0]["source"], data[1]["parent_id"]) == (-1, "input", data[0]["id"])
    assert data[4] == {"payload": {"in": "a"}}
    assert (told[5][1]["node"], data[5]) == ("n0", {"trail": ["a"]})
    assert telling.values == {"trail": ["a"]}
    assert (telling.interrupts, telling.is_interrupted) == ([], False)


def test_without_checkpoints_the_states_are_told_all_the_same() -> None:
    told, _ = heard(graph_of(step("a")), {"trail": []})
    assert kinds(told).count("values") == 2


def test_a_subgraph_is_told_with_its_beginning_and_its_end() -> None:
    inner = graph_of(step("inner"))
    told, _ = heard(graph_of(inner).copy({"checkpointer": InMemorySaver()}), {"trail": []})
    lifecycle = [(kind, each["data"]) for kind, each in told if kind.startswith("v3.lifecycle|n0:")]
    assert [data["event"] for _, data in lifecycle] == ["started", "completed"]
    assert {data["graph_name"] for _, data in lifecycle} == {"n0"}
    assert any(kind.startswith("v3.tasks|n0:") for kind, _ in told)


def test_what_is_asked_is_known_with_the_graph_that_asks() -> None:
    graph = graph_of(graph_of(asking)).copy({"checkpointer": InMemorySaver()})
    told, telling = heard(graph, {"trail": []})
    (asked,) = telling.interrupts
    assert (asked["value"], asked["namespace"][0].partition(":")[0], telling.is_interrupted) == ("really?", "n0", True)
    assert not any("__interrupt__" in str(each) for _, each in told)
    _, telling = heard(graph, Command(resume={asked["id"]: "yes"}))
    assert (telling.values, telling.is_interrupted) == ({"trail": ["yes"]}, False)


def test_a_stop_before_a_node_asks_nothing() -> None:
    graph = graph_of(step("a"), step("b")).copy({"checkpointer": InMemorySaver()})
    _, telling = heard(graph, {"trail": []}, interrupt_before=["n1"])
    assert (telling.is_interrupted, telling.interrupts, telling.values) == (True, [], {"trail": ["a"]})


def test_a_failure_is_raised_after_what_was_said_before_it() -> None:
    telling = protocol.events(graph_of(step("a"), failing), {"trail": []}, CONFIG, None, Options(thread="t"))
    said: list[tuple[str, bytes]] = []

    async def listen() -> None:
        async for told in telling:
            said.append(told)

    with pytest.raises(ValueError, match="A secret"):
        asyncio.run(listen())
    assert telling.values == {"trail": ["a"]}
    assert b"A secret" not in b"".join(data for _, data in said)


def test_a_models_message_comes_in_pieces_that_name_its_call() -> None:
    async def model(state: MessagesState) -> dict[str, Any]:
        chat = GenericFakeChatModel(messages=iter([AIMessage(content="one two", id="m")]))
        return {"messages": [await chat.ainvoke(state["messages"])]}

    told, _ = heard(graph_of(model, state=MessagesState), {"messages": [HumanMessage("hi")]})
    said = [each for kind, each in told if kind == "v3.messages"]
    assert [each["data"]["event"] for each in said][:2] == ["message-start", "content-block-start"]
    assert said[-1]["data"]["event"] == "message-finish"
    assert "".join(each["data"]["delta"]["text"] for each in said if "delta" in each["data"]) == "one two"
    assert {each["node"] for each in said} == {"n0"}
    assert len({each["data"]["run_id"] for each in said}) == 1


def test_messages_of_two_models_at_once_can_be_told_apart() -> None:
    async def model(state: MessagesState) -> dict[str, Any]:
        def chat() -> Any:
            return GenericFakeChatModel(messages=iter([AIMessage(content="a b c d")])).ainvoke(state["messages"])

        return {"messages": list(await asyncio.gather(chat(), chat()))}

    told, _ = heard(graph_of(model, state=MessagesState), {"messages": [HumanMessage("hi")]})
    said = [each["data"] for kind, each in told if kind == "v3.messages"]
    started = {each["run_id"]: each["id"] for each in said if each["event"] == "message-start"}
    assert len(started) == 2
    named = [each for each in said if "message_id" in each]
    assert named
    assert all(started[each["run_id"]] == each["message_id"] for each in named)


def test_a_message_that_was_not_streamed_is_told_at_once_and_states_in_few_words() -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("You said: hi", id="m", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})]}

    told, _ = heard(graph_of(answer, state=MessagesState), {"messages": [HumanMessage("hi", id="h")]})
    said = [each["data"] for kind, each in told if kind == "v3.messages"]
    assert [each["event"] for each in said] == [
        "message-start",
        "content-block-start",
        "content-block-delta",
        "content-block-finish",
        "message-finish",
    ]
    assert (said[0]["id"], said[3]["content"]["text"], said[4]["usage"]["total_tokens"]) == ("m", "You said: hi", 3)
    first = next(each["data"] for kind, each in told if kind == "v3.values")
    assert first == {"messages": [{"content": "hi", "type": "human", "id": "h"}]}
