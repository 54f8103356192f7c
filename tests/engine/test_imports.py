"""Code that changes while the server runs: the next run has the new code, all of it, and one in progress keeps the old."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.engine import graphs, imports
from server.engine.graphs import AgentBroken, opened_graph
from server.engine.job import AgentSource
from tests.engine.conftest import written

MAIN = """
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
import words_of_mine
def say(state):
    return {"messages": [AIMessage(words_of_mine.WORD)]}
graph = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").add_edge("say", END).compile()
"""


@pytest.fixture(autouse=True)
def looking_each_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every run looks at all files, and what a test opened is not there for the next."""
    monkeypatch.setattr(imports, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    graphs.forget()
    for name in [name for name in sys.modules if name.endswith("_of_mine") or name.startswith("of_mine")]:
        del sys.modules[name]


@pytest.fixture
def agent(tmp_path: Path) -> AgentSource:
    """An agent that says a word of the module beside it."""
    save(tmp_path / "words_of_mine.py", "WORD = 'one'")
    return written(tmp_path, MAIN)


def save(path: Path, code: str) -> None:
    """Write a file with an earlier time than now, but later than it had: as if the file was saved a while ago."""
    before = path.stat().st_mtime_ns if path.exists() else time.time_ns() - 3600 * 10**9
    path.write_text(code)
    os.utime(path, ns=(before + 10**9, before + 10**9))


async def said(source: AgentSource) -> str:
    async with opened_graph(source, {}) as graph:
        return await answer(graph)


async def answer(graph: Any) -> str:
    state = await graph.ainvoke({"messages": [("user", "hello")]})
    return str(state["messages"][-1].text)


def test_a_module_beside_the_agent_that_has_changed_is_imported_anew(tmp_path: Path, agent: AgentSource) -> None:
    assert asyncio.run(said(agent)) == "one"
    save(tmp_path / "words_of_mine.py", "WORD = 'two'")
    assert asyncio.run(said(agent)) == "two"


def test_a_module_of_a_dependency_that_has_changed_is_imported_anew(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "of_mine").mkdir(parents=True)
    save(library / "of_mine" / "__init__.py", "from of_mine.deep import WORD")
    save(library / "of_mine" / "deep.py", "WORD = 'one'")
    (tmp_path / "app").mkdir()
    main = written(tmp_path / "app", MAIN.replace("words_of_mine", "of_mine"))
    source = AgentSource("mine", main.graph, main.folder, dependencies=(str(library),))
    assert asyncio.run(said(source)) == "one"
    save(library / "of_mine" / "deep.py", "WORD = 'two'")
    assert asyncio.run(said(source)) == "two"


def test_a_change_within_the_same_second_and_of_the_same_length_is_seen(tmp_path: Path, agent: AgentSource) -> None:
    path = tmp_path / "words_of_mine.py"
    assert asyncio.run(said(agent)) == "one"
    moment = path.stat().st_mtime_ns
    path.write_text("WORD = 'two'")
    os.utime(path, ns=(moment + 1000, moment + 1000))
    assert asyncio.run(said(agent)) == "two"


def test_a_file_that_was_written_while_it_was_imported_is_imported_once_more(tmp_path: Path) -> None:
    (tmp_path / "words_of_mine.py").write_text(f"import pathlib\nWORD = 'one'\npathlib.Path({str(tmp_path)!r}, 'words_of_mine.py').touch()")
    source = written(tmp_path, MAIN)
    assert asyncio.run(said(source)) == "one"
    save(tmp_path / "words_of_mine.py", "WORD = 'two'")
    assert asyncio.run(said(source)) == "two"


def test_a_module_that_was_imported_later_is_watched_too(tmp_path: Path) -> None:
    save(tmp_path / "words_of_mine.py", "WORD = 'one'")
    lazy = MAIN.replace("import words_of_mine\n", "").replace("    return", "    import words_of_mine\n    return")
    source = written(tmp_path, lazy)
    assert [asyncio.run(said(source)), asyncio.run(said(source))] == ["one", "one"]
    save(tmp_path / "words_of_mine.py", "WORD = 'two'")
    assert asyncio.run(said(source)) == "two"


def test_a_run_in_progress_keeps_the_code_that_it_began_with(tmp_path: Path, agent: AgentSource) -> None:
    async def both() -> tuple[str, str]:
        async with opened_graph(agent, {}) as old:
            save(tmp_path / "words_of_mine.py", "WORD = 'two'")
            return await said(agent), await answer(old)

    assert asyncio.run(both()) == ("two", "one")


def test_nothing_is_imported_again_while_nothing_changes(agent: AgentSource) -> None:
    async def twice() -> bool:
        async with opened_graph(agent, {}) as one, opened_graph(agent, {}) as two:
            return one is two

    assert asyncio.run(twice())


def test_between_two_looks_only_the_agents_own_file_is_looked_at(
    tmp_path: Path, agent: AgentSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "LOOK_EVERY_S", 3600.0)
    assert asyncio.run(said(agent)) == "one"
    save(tmp_path / "words_of_mine.py", "WORD = 'two'")
    assert asyncio.run(said(agent)) == "one"
    save(tmp_path / "agent.py", MAIN)
    assert asyncio.run(said(agent)) == "two"


def test_a_file_that_is_away_while_it_is_being_saved_is_no_change(tmp_path: Path, agent: AgentSource) -> None:
    assert asyncio.run(said(agent)) == "one"
    (tmp_path / "words_of_mine.py").rename(tmp_path / "saved.py")
    assert asyncio.run(said(agent)) == "one"


def test_a_change_that_does_not_parse_is_told_and_its_mending_too(tmp_path: Path, agent: AgentSource) -> None:
    assert asyncio.run(said(agent)) == "one"
    save(tmp_path / "words_of_mine.py", "WORD = ")
    with pytest.raises(AgentBroken, match="SyntaxError"):
        asyncio.run(said(agent))
    save(tmp_path / "words_of_mine.py", "WORD = 'two'")
    assert asyncio.run(said(agent)) == "two"


def test_a_changed_environment_is_there_for_the_agent(tmp_path: Path) -> None:
    (tmp_path / "words_of_mine.py").write_text("import os\nWORD = os.environ['CITY_OF_MINE']")
    main = written(tmp_path, MAIN)
    cities = [AgentSource("mine", main.graph, main.folder, env={"CITY_OF_MINE": city}) for city in ("Oslo", "Bergen")]
    assert [asyncio.run(said(each)) for each in cities] == ["Oslo", "Bergen"]
    del os.environ["CITY_OF_MINE"]


def test_two_agents_of_a_folder_have_the_same_modules_after_a_change(tmp_path: Path, agent: AgentSource) -> None:
    (tmp_path / "other.py").write_text(MAIN)
    other = AgentSource("other", f"{tmp_path}/other.py:graph", str(tmp_path))
    assert [asyncio.run(said(each)) for each in (agent, other)] == ["one", "one"]
    save(tmp_path / "words_of_mine.py", "WORD = 'two'")
    assert [asyncio.run(said(each)) for each in (other, agent)] == ["two", "two"]


def test_looking_for_a_change_costs_little(tmp_path: Path) -> None:
    names = [f"m{number}_of_mine" for number in range(200)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "words_of_mine.py").write_text("WORD = 'one'")
    source = written(tmp_path, MAIN + "".join(f"import {name}\n" for name in names))
    asyncio.run(said(source))
    [home] = imports._homes.values()
    began = time.perf_counter()
    assert not imports._changed(home)
    assert time.perf_counter() - began < 0.1
