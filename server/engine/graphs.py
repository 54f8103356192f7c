"""From the place of an agent's code to a graph that can be run; opened once, and again when its file has changed."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel import Pregel

from server.engine.job import AgentSource
from server.engine.statetypes import defined_in

__all__ = ["AgentBroken", "forget", "open_graph", "own_types"]

_lock = threading.RLock()
_opened: dict[str, Opened] = {}
_folders: set[str] = set()
# The types of a folder's modules, and how many modules there were in the process when they were listed.
_types: dict[str, tuple[int, frozenset[tuple[str, str]]]] = {}

# Where installed packages are: an agent's folder may hold the environment that this process runs in.
INSTALLED = ("site-packages", "dist-packages")


class AgentBroken(Exception):
    """The agent's code cannot be opened."""


@dataclass(frozen=True)
class Opened:
    """What a reference stood for, and the state of the file when it was read."""

    reference: str
    changed_ns: int
    target: Any


async def open_graph(source: AgentSource, config: RunnableConfig) -> Pregel[Any, Any, Any, Any]:
    """The compiled graph of an agent; a factory is called with the run's config. Raises AgentBroken."""
    opened = _known(source)
    if opened is None:
        opened = await asyncio.to_thread(_open, source)
    target = opened.target
    if callable(target) and not isinstance(target, (Pregel, Runnable, StateGraph)):
        target = target(config) if _takes_argument(target) else target()
        if inspect.isawaitable(target):
            target = await target
        if hasattr(target, "__aenter__"):
            raise AgentBroken(f"{source.agent_id}: a factory that is a context manager is not supported here")
    return _compiled(source, target)


def forget() -> None:
    """Open every agent's code anew at its next run, with the modules beside it."""
    with _lock:
        _opened.clear()
        _types.clear()
        for module in _modules_in(tuple(_folders)):
            del sys.modules[module.__name__]


def own_types(source: AgentSource) -> frozenset[tuple[str, str]]:
    """The types that the agent's own code defines, in the modules of its folder and dependencies that are imported by now."""
    count, types = _types.get(source.folder, (0, frozenset()))
    if count != len(sys.modules):
        folders = tuple(f"{folder}{os.sep}" for folder in (*source.dependencies, source.folder))
        types = defined_in(_modules_in(folders))
        _types[source.folder] = (len(sys.modules), types)
    return types


def _modules_in(folders: tuple[str, ...]) -> list[ModuleType]:
    """The imported modules whose files are in these folders; none of the server's own, and none of an installed package."""
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        is_ours = name.partition(".")[0] in ("server", "celery_worker", "wsgi", "__main__", "tests")
        if file.startswith(folders) and not is_ours and not any(part in INSTALLED for part in Path(file).parts):
            found.append(module)
    return [module for module in found if sys.modules.get(module.__name__) is module]


def _known(source: AgentSource) -> Opened | None:
    """What was opened before, unless its file has changed since."""
    opened = _opened.get(source.agent_id)
    if opened is None or opened.reference != source.graph or opened.changed_ns != _changed_ns(source):
        return None
    return opened


def _open(source: AgentSource) -> Opened:
    """Import an agent's code: may take seconds, and so is not done on a loop."""
    with _lock:
        opened = _known(source) or Opened(source.graph, _changed_ns(source), _import(source))
        _opened[source.agent_id] = opened
        return opened


def _changed_ns(source: AgentSource) -> int:
    path = Path(source.graph.rpartition(":")[0])
    return path.stat().st_mtime_ns if path.suffix == ".py" and path.exists() else 0


def _import(source: AgentSource) -> Any:
    place, _, variable = source.graph.rpartition(":")
    for folder in (*source.dependencies, source.folder):
        _folders.add(f"{folder}{os.sep}")
        if folder not in sys.path:
            sys.path.append(folder)
    os.environ.update(source.env)
    try:
        module = _module_at(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise AgentBroken(f"{source.agent_id}: {Path(place).name} cannot be imported ({type(error).__name__})") from error
    try:
        return getattr(module, variable)
    except AttributeError:
        raise AgentBroken(f"{source.agent_id}: {Path(place).name} has no {variable!r}") from None


def _module_at(path: Path) -> ModuleType:
    """The module in a file, under a name that is its own, so that two agents may both have an `agent.py`.

    Agents of one file share it: a checkpoint finds a class by its module's name, and must find the one that the agent uses.
    """
    name = f"parley_agent_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(path)
    changed_ns = path.stat().st_mtime_ns
    known = sys.modules.get(name)
    if known is not None and known.__dict__.get("__parley_changed_ns__") == changed_ns:
        return known
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    module.__dict__["__parley_changed_ns__"] = changed_ns
    return module


def _takes_argument(factory: Any) -> bool:
    parameters = inspect.signature(factory).parameters.values()
    return any(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def _compiled(source: AgentSource, target: Any) -> Pregel[Any, Any, Any, Any]:
    if isinstance(target, Pregel):
        return target
    if isinstance(target, StateGraph):
        return target.compile()
    if isinstance(target, Runnable):
        return _around(target)
    raise AgentBroken(f"{source.agent_id}: {variable_of(source)} is a {type(target).__name__}, no graph and no runnable")


def variable_of(source: AgentSource) -> str:
    """The name under which the graph stands in its module."""
    return source.graph.rpartition(":")[2]


class LastMessage(BaseCallbackHandler):
    """What a chat model said last; its text may be the answer, under the id that it was streamed with."""

    run_inline = True
    message: BaseMessage | None = None

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Take down what was said."""
        said = response.generations[-1][-1] if response.generations and response.generations[-1] else None
        self.message = said.message if isinstance(said, ChatGeneration) else None


def _around(runnable: Runnable[Any, Any]) -> Pregel[Any, Any, Any, Any]:
    """A graph of one node around a runnable: it is called with what its input asks for, and its answer becomes a message."""

    async def call(state: MessagesState, config: RunnableConfig) -> dict[str, list[BaseMessage]]:
        last = LastMessage()
        asked = _input_for(runnable, state["messages"])
        output = await runnable.ainvoke(asked, merge_configs(config, {"callbacks": [last]}))
        return {"messages": [_as_message(output, last.message)]}

    graph = StateGraph(MessagesState)
    graph.add_node("call", call)
    graph.add_edge(START, "call")
    graph.add_edge("call", END)
    return graph.compile()


def _input_for(runnable: Runnable[Any, Any], messages: list[Any]) -> Any:
    schema = runnable.get_input_jsonschema()
    names = set(schema.get("properties", {}))
    if "messages" in names:
        return {"messages": messages}
    text = messages[-1].text if messages else ""
    lists = {name for name in names if schema["properties"][name].get("type") == "array"}
    asked = names & {"input", "question", "query", "text", "topic"} or (names - lists if len(names - lists) == 1 else set())
    if asked or len(names) == 1:
        earlier = messages[:-1] if asked else messages
        return {**dict.fromkeys(lists, earlier), **dict.fromkeys(asked, text)}
    return text if schema.get("type") == "string" else messages


def _as_message(output: Any, last: BaseMessage | None) -> BaseMessage:
    """The answer as a message; the model's own where the output is its text, so that it is not streamed a second time."""
    if isinstance(output, BaseMessage):
        return output
    if last is not None and output == str(last.text):
        return last
    return AIMessage(output if isinstance(output, str) else str(output))
