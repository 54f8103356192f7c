"""What a graph looks like from outside: compiled, made by a factory, with graphs inside, with types of all kinds, and broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.engine.drawing import Look
from server.engine.graphs import AgentBroken
from server.engine.room import Engine
from tests.engine.conftest import written

NESTED = """
from typing import Literal
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    x: int

def nothing(state): return {}
def either(state) -> Literal["left", "child"]: return "left"

leaf = StateGraph(State).add_node("deep", nothing, metadata={"key": 1, "odd": object}).add_edge(START, "deep").compile()
middle = StateGraph(State).add_node("leaf", leaf).add_edge(START, "leaf").compile()
graph = (
    StateGraph(State).add_node("left", nothing).add_node("child", middle)
    .add_conditional_edges(START, either).add_edge("left", "child").compile(interrupt_before=["left"])
)
"""

TYPED = """
import typing
from dataclasses import dataclass
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

class In(TypedDict):
    ask: str
class Out(TypedDict, total=False):
    answer: str
class All(In, Out):
    hidden: int
class Old(typing.TypedDict):
    ask: str
    more: typing.NotRequired[int]
class Asked(BaseModel):
    ask: str = Field(description="What is asked")
class Tone(TypedDict, total=False):
    tone: str
class OldTone(typing.TypedDict, total=False):
    tone: str
@dataclass
class Model:
    name: str = "small"
class Odd:
    pass
class Unsayable(TypedDict):
    odd: Odd

def nothing(state): return {}
def made(state, context=None, **more):
    return StateGraph(state, context_schema=context, **more).add_node("n", nothing).add_edge(START, "n")

typed = made(All, Tone, input_schema=In, output_schema=Out).compile(name="Named")
old = made(Old, OldTone).compile()
asked = made(Asked, Asked).compile()
model = made(In, Model).compile()
unsayable = made(Unsayable).compile()
"""

FACTORY = """
from contextlib import asynccontextmanager
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

def built(name): return StateGraph(MessagesState).add_node(name, lambda state: {}).add_edge(START, name).compile()
def plain(config: RunnableConfig): return built("node_" + config["configurable"].get("tone", "none"))
@asynccontextmanager
async def opened(config: RunnableConfig): yield built("opened")
chain = RunnableLambda(lambda text: text)

def raising(config: RunnableConfig): raise RuntimeError("password=hunter2")
def leaving(config: RunnableConfig): raise SystemExit(3)
def number(config: RunnableConfig): return 7
seven = 7
"""


def look(engine: Engine, folder: Path, code: str, what: str, variable: str = "graph", **options: Any) -> Any:
    source = written(folder, code, variable=variable, agent_id=f"mine_{variable}")
    return engine.look(Look(source, what, **options))


def nodes(drawn: Any) -> list[str]:
    return [node["id"] for node in drawn["nodes"]]


# -- drawings ----------------------------------------------------------------------------------------------------------


def test_a_drawing_is_nodes_and_edges(engine: Engine, tmp_path: Path) -> None:
    assert look(engine, tmp_path, NESTED, "graph") == {
        "nodes": [
            {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
            {"id": "left", "type": "runnable", "data": {"name": "left"}, "metadata": {"__interrupt": "before"}},
            {"id": "child", "type": "runnable", "data": {"name": "child"}},
            {"id": "__end__"},
        ],
        "edges": [
            {"source": "__start__", "target": "child", "conditional": True},
            {"source": "__start__", "target": "left", "conditional": True},
            {"source": "left", "target": "child"},
            {"source": "child", "target": "__end__"},
        ],
    }


@pytest.mark.parametrize(("xray", "inside"), [(False, "child"), (1, "child:leaf"), (2, "child:leaf:deep"), (True, "child:leaf:deep")])
def test_xray_draws_what_is_inside_a_node(engine: Engine, tmp_path: Path, xray: int | bool, inside: str) -> None:
    assert inside in nodes(look(engine, tmp_path, NESTED, "graph", xray=xray))


def test_an_agents_own_values_come_as_text(engine: Engine, tmp_path: Path) -> None:
    drawn = look(engine, tmp_path, NESTED, "graph", xray=True)
    assert next(node["metadata"] for node in drawn["nodes"] if "deep" in node["id"]) == {"key": 1, "odd": "<class 'object'>"}


@pytest.mark.parametrize(
    ("variable", "options", "node"),
    [
        ("plain", {}, "node_none"),
        ("plain", {"config": {"configurable": {"tone": "dry"}, "tags": ["t"]}}, "node_dry"),
        ("plain", {"context": {"tone": "wet"}}, "node_wet"),
        ("opened", {}, "opened"),
        ("chain", {}, "call"),
    ],
)
def test_what_is_no_graph_yet_is_made_one(engine: Engine, tmp_path: Path, variable: str, options: Any, node: str) -> None:
    assert node in nodes(look(engine, tmp_path, FACTORY, "graph", variable, **options))


# -- subgraphs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("namespace", "recurse", "found"),
    [
        (None, False, ["child"]),
        (None, True, ["child", "child|leaf"]),
        ("child", False, ["child"]),
        ("child|leaf", True, ["child|leaf"]),
        ("child|leaf", False, []),
        ("leaf", True, []),
        ("nope", False, []),
        ("", False, []),
    ],
)
def test_subgraphs_are_found_by_their_namespace(
    engine: Engine, tmp_path: Path, namespace: str | None, recurse: bool, found: list[str]
) -> None:
    subgraphs = look(engine, tmp_path, NESTED, "subgraphs", namespace=namespace, recurse=recurse)
    assert list(subgraphs) == found
    for schemas in subgraphs.values():
        assert schemas["input_schema"]["properties"] == {"x": {"title": "X", "type": "integer"}}


# -- schemas -----------------------------------------------------------------------------------------------------------


def test_schemas_say_what_a_graph_takes_gives_keeps_and_is_configured_by(engine: Engine, tmp_path: Path) -> None:
    tone = {"properties": {"tone": {"title": "Tone", "type": "string"}}, "title": "Tone", "type": "object"}
    ask, answer = {"title": "Ask", "type": "string"}, {"title": "Answer", "type": "string"}
    assert look(engine, tmp_path, TYPED, "schemas", "typed") == {
        "graph_id": "mine_typed",
        "input_schema": {"properties": {"ask": ask}, "required": ["ask"], "title": "In", "type": "object"},
        "output_schema": {"properties": {"answer": answer}, "title": "Out", "type": "object"},
        "state_schema": {
            "properties": {
                "ask": {**ask, "default": None},
                "answer": {**answer, "default": None},
                "hidden": {"default": None, "title": "Hidden", "type": "integer"},
            },
            "title": "NamedState",
            "type": "object",
        },
        "config_schema": tone,
        "context_schema": tone,
    }


def test_the_state_of_a_graph_without_a_name_is_called_after_the_agent(engine: Engine, tmp_path: Path) -> None:
    assert look(engine, tmp_path, TYPED, "schemas", "model")["state_schema"]["title"] == "mine_model_state"


def test_a_typed_dict_of_the_standard_library_has_a_schema_on_every_python(engine: Engine, tmp_path: Path) -> None:
    found = look(engine, tmp_path, TYPED, "schemas", "old")
    more = {"title": "More", "type": "integer"}
    ask = {"title": "Ask", "type": "string"}
    assert found["input_schema"] == {"properties": {"ask": ask, "more": more}, "required": ["ask"], "title": "Old", "type": "object"}
    assert found["output_schema"] == found["input_schema"]
    assert found["context_schema"]["properties"] == {"tone": {"title": "Tone", "type": "string"}}


@pytest.mark.parametrize(("variable", "field"), [("asked", "ask"), ("model", "name")])
def test_models_and_dataclasses_configure_too(engine: Engine, tmp_path: Path, variable: str, field: str) -> None:
    assert list(look(engine, tmp_path, TYPED, "schemas", variable)["context_schema"]["properties"]) == [field]


def test_a_type_without_a_schema_leaves_a_null_and_the_others(engine: Engine, tmp_path: Path) -> None:
    assert look(engine, tmp_path, TYPED, "schemas", "unsayable") == {
        "graph_id": "mine_unsayable",
        "input_schema": None,
        "output_schema": None,
        "state_schema": None,
        "config_schema": {},
        "context_schema": None,
    }


# -- what cannot be opened ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["graph", "schemas", "subgraphs"])
@pytest.mark.parametrize(
    ("variable", "refused"),
    [("nothing_there", AgentBroken), ("seven", AgentBroken), ("number", AgentBroken), ("leaving", AgentBroken), ("raising", RuntimeError)],
)
def test_what_cannot_be_opened_cannot_be_looked_at(
    engine: Engine, tmp_path: Path, what: str, variable: str, refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        look(engine, tmp_path, FACTORY, what, variable)


def test_the_engine_goes_on_after_code_that_wants_to_end_the_process(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(AgentBroken):
        look(engine, tmp_path, FACTORY, "graph", "leaving")
    assert nodes(look(engine, tmp_path, FACTORY, "graph", "plain"))
