"""Opening an agent's code: every shape that is taken, each that is not with words that say why, and code that changes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.pregel import Pregel

from server.engine import graphs
from server.engine.graphs import AgentBroken, opened_graph, own_types
from server.engine.job import AgentSource
from tests.engine.conftest import written

HEAD = """
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph
def say(state):
    return {"messages": [AIMessage("one")]}
draft = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").add_edge("say", END)
"""
SHAPES = {
    "a compiled graph": "graph = draft.compile()",
    "a graph that is not compiled": "graph = draft",
    "a factory": "def graph(): return draft",
    "a factory that wants the config": "def graph(config): return draft if config['configurable']['thread_id'] == 't' else None",
    "an asynchronous factory": "async def graph(config): return draft.compile()",
    "an object that can be called": "class Make:\n    def __call__(self, config): return draft\ngraph = Make()",
}
RUNNABLES = {
    "a chain with one variable": (
        "graph = ChatPromptTemplate.from_template('{topic}') | RunnableLambda(lambda p: p.messages[0].text)",
        "hello",
    ),
    "a chain with history": (
        "graph = ChatPromptTemplate.from_messages([('placeholder', '{history}'), ('human', '{question}')])"
        " | RunnableLambda(lambda p: str(len(p.messages)))",
        "1",
    ),
    "one that takes messages": ("graph = RunnableLambda(lambda messages: AIMessage(f'{len(messages)} message'))", "1 message"),
    "one that gives something else": ("graph = RunnableLambda(lambda messages: {'n': 1})", "{'n': 1}"),
}
BROKEN = {
    "a file that is not there": ("", "graph", "missing.py cannot be imported (FileNotFoundError)"),
    "code that does not parse": ("graph = (", "graph", "agent.py cannot be imported (SyntaxError)"),
    "code that raises": ("raise ValueError('a secret')", "graph", "agent.py cannot be imported (ValueError)"),
    "code that ends the process": ("raise SystemExit(1)", "graph", "agent.py cannot be imported (SystemExit)"),
    "a package that is not installed": ("import no_such_package", "graph", "agent.py cannot be imported (ModuleNotFoundError)"),
    "a name that is not there": ("other = 1", "graph", "agent.py has no 'graph'"),
    "something else": ("graph = 7", "graph", "graph is a int, no graph and no runnable"),
    "a factory of something else": ("def graph(): return 7", "graph", "graph is a int, no graph and no runnable"),
    "a factory that is a context manager of something else": (
        "import contextlib\n@contextlib.asynccontextmanager\nasync def graph(config): yield 1",
        "graph",
        "graph is a int, no graph and no runnable",
    ),
    "a factory that wants what nobody has": (
        "def graph(config, database: str): return 7",
        "graph",
        "the factory's parameter 'database' is neither a config nor a runtime",
    ),
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test opened is not there for the next."""
    yield
    graphs.forget()


def opened(source: AgentSource, **visit: Any) -> Pregel[Any, Any, Any, Any]:
    async def open_it() -> Pregel[Any, Any, Any, Any]:
        async with opened_graph(source, {"configurable": {"thread_id": "t"}}, **visit) as graph:
            return graph

    return asyncio.run(open_it())


def answer(source: AgentSource, text: str = "hello") -> str:
    state = asyncio.run(opened(source).ainvoke({"messages": [("user", text)]}))
    return str(state["messages"][-1].text)


@pytest.mark.parametrize("code", SHAPES.values(), ids=SHAPES)
def test_it_is_opened_as(tmp_path: Path, code: str) -> None:
    assert answer(written(tmp_path, HEAD + code)) == "one"


@pytest.mark.parametrize(("code", "expected"), RUNNABLES.values(), ids=RUNNABLES)
def test_a_runnable_becomes_a_graph_of_one_node(tmp_path: Path, code: str, expected: str) -> None:
    assert answer(written(tmp_path, HEAD + code)) == expected


@pytest.mark.parametrize(("code", "variable", "words"), BROKEN.values(), ids=BROKEN)
def test_it_is_refused_in_words_that_say_why(tmp_path: Path, code: str, variable: str, words: str) -> None:
    source = written(tmp_path, code, variable=variable)
    if not code:
        source = AgentSource("mine", f"{tmp_path}/missing.py:graph", str(tmp_path))
    with pytest.raises(AgentBroken) as refused:
        opened(source)
    assert str(refused.value) == f"mine: {words}"


def test_a_graph_is_opened_once_and_a_factory_called_for_each_run(tmp_path: Path) -> None:
    once = written(tmp_path, HEAD + "graph = draft.compile()")
    assert opened(once) is opened(once)
    calls = written(tmp_path, HEAD + "made = []\ndef graph():\n    made.append(1)\n    return draft", agent_id="calls")
    opened(calls)
    opened(calls)
    assert len(module_of(tmp_path).made) == 2


def module_of(folder: Path) -> ModuleType:
    return next(each for each in sys.modules.values() if getattr(each, "__file__", None) == str(folder / "agent.py"))


def test_two_agents_may_have_files_of_the_same_name(tmp_path: Path) -> None:
    sources = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sources.append(written(tmp_path / name, HEAD.replace('"one"', f'"{name}"') + "graph = draft", agent_id=name))
    assert [answer(source) for source in sources] == ["one", "two"]


def test_a_file_that_has_changed_is_opened_anew(tmp_path: Path) -> None:
    source = written(tmp_path, HEAD + "graph = draft")
    assert answer(source) == "one"
    written(tmp_path, HEAD.replace('"one"', '"two"') + "graph = draft")
    os.utime(tmp_path / "agent.py", ns=(1, 1))
    assert answer(source) == "two"


def test_a_broken_file_that_was_mended_is_opened(tmp_path: Path) -> None:
    source = written(tmp_path, "graph = (")
    with pytest.raises(AgentBroken):
        opened(source)
    written(tmp_path, HEAD + "graph = draft")
    assert answer(source) == "one"


def test_what_is_forgotten_is_opened_anew_with_the_modules_beside_it(tmp_path: Path) -> None:
    source = written(tmp_path, HEAD + "import my_words\nmade = my_words.made\ngraph = draft")
    (tmp_path / "my_words.py").write_text("made = object()")
    opened(source)
    first = module_of(tmp_path).made
    graphs.forget()
    opened(source)
    assert module_of(tmp_path).made is not first


def test_installed_packages_in_the_agents_own_folder_are_not_forgotten(tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "my_installed.py").write_text("")
    source = written(tmp_path, HEAD + f"import sys\nsys.path.append({str(installed)!r})\nimport my_installed\ngraph = draft")
    opened(source)
    graphs.forget()
    assert "my_installed" in sys.modules
    del sys.modules["my_installed"]


def test_an_agents_own_types_are_those_of_its_folder_and_not_those_it_imports(tmp_path: Path) -> None:
    (tmp_path / "my_types.py").write_text("class Kept: ...")
    source = written(tmp_path, HEAD + "from my_types import Kept\nclass Note: ...\ngraph = draft")
    opened(source)
    assert {name for _, name in own_types(source)} == {"Kept", "Note"}
    assert ("my_types", "Kept") in own_types(source)


def test_a_module_that_is_imported_later_brings_its_types(tmp_path: Path) -> None:
    (tmp_path / "my_late.py").write_text("class Late: ...")
    source = written(tmp_path, HEAD + "graph = draft")
    opened(source)
    assert own_types(source) == frozenset()
    import my_late  # type: ignore[import-not-found]  # noqa: F401

    assert own_types(source) == {("my_late", "Late")}
