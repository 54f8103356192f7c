"""An agent's code: imported once, and again, with all that is beside it, when one of its files has changed.

A change is looked for when a run begins: at the main file each time, at the other files that were imported from the agent's folders
once in LOOK_EVERY_S. A run that is in progress goes on with the code it began with.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from server.engine.job import AgentSource
from server.engine.statetypes import defined_in

__all__ = ["AgentBroken", "folders_of", "forget", "open_object", "own_types"]

LOOK_EVERY_S = 1.0
MAX_WATCHED = 2000  # files of one agent; asking for the times of so many takes some milliseconds
# Installed packages and Python itself may be in an agent's folder; they are nobody's own code.
INSTALLED = ("site-packages", "dist-packages")
PYTHON = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
OURS = ("server", "celery_worker", "wsgi", "__main__", "tests")

Finish = Callable[[Any], Any]
Stamp = tuple[int, int]  # when a file was changed, in ns, and its size

_lock = threading.RLock()
_opened: dict[tuple[str, str], Opened] = {}
_homes: dict[tuple[str, ...], Home] = {}
# The types of a folder's modules, and how many modules there were in the process when they were listed.
_types: dict[str, tuple[int, frozenset[tuple[str, str]]]] = {}


class AgentBroken(Exception):
    """The agent's code cannot be opened."""


@dataclass(frozen=True)
class Opened:
    """What a reference stood for, and the state of its file when it was read."""

    source: AgentSource
    stamp: Stamp | None
    target: Any


@dataclass
class Home:
    """The files that were imported from some folders, as they were then. None: changed while it was being imported."""

    folders: tuple[str, ...]
    looked_at: float = 0.0
    looked_ns: int = 0
    modules: int = 0
    files: dict[str, Stamp | None] = field(default_factory=dict)


async def open_object(source: AgentSource, finish: Finish = lambda target: target) -> Any:
    """What the source's `file.py:variable` stands for. The same object until its code changes. Raises AgentBroken.

    finish: makes of what stands there, once, what is given from then on.
    """
    opened = _known(source)
    if opened is None:
        opened = await asyncio.to_thread(_open, source, finish)
    return opened.target


def forget() -> None:
    """Open every agent's code anew at its next run, with the modules beside it."""
    with _lock:
        for home in list(_homes.values()):
            _drop(home)


def folders_of(source: AgentSource) -> tuple[str, ...]:
    """The folders whose code is the agent's own, each with a slash at its end."""
    return tuple(f"{folder}{os.sep}" for folder in (*source.dependencies, source.folder))


def own_types(source: AgentSource) -> frozenset[tuple[str, str]]:
    """The types that the agent's own code defines, in the modules of its folder and dependencies that are imported by now."""
    count, types = _types.get(source.folder, (0, frozenset()))
    if count != len(sys.modules):
        types = defined_in(_modules_in(folders_of(source)))
        _types[source.folder] = (len(sys.modules), types)
    return types


def _known(source: AgentSource) -> Opened | None:
    """What was opened before, unless it has changed or it is time to look whether it has."""
    opened = _opened.get((source.agent_id, source.graph))
    if opened is None or opened.source != source or opened.stamp != _stamp(_file_of(source)):
        return None
    home = _homes.get(folders_of(source))
    if home is None or time.monotonic() - home.looked_at >= LOOK_EVERY_S:
        return None
    return opened


def _open(source: AgentSource, finish: Finish) -> Opened:
    """Look for changes and import what is not there: may take seconds, and so is not done on a loop."""
    home = _homes.get(folders_of(source))
    if home is not None:
        changed = _changed(home)
        opened = _opened.get((source.agent_id, source.graph))
        is_as_it_was = opened is not None and opened.source == source and opened.stamp == _stamp(_file_of(source))
        if is_as_it_was and not changed and opened is not None:
            return opened
        if changed or (opened is not None and not is_as_it_was):
            _drop(home)
    with _lock:
        opened = _known(source) or _imported(source, finish)
        _opened[(source.agent_id, source.graph)] = opened
        return opened


def _imported(source: AgentSource, finish: Finish) -> Opened:
    home = _homes.setdefault(folders_of(source), Home(folders_of(source)))
    began_ns = time.time_ns()
    stamp = _stamp(_file_of(source))
    target = finish(_import(source))
    _watch(home, since_ns=began_ns)
    return Opened(source, stamp, target)


def _import(source: AgentSource) -> Any:
    place, _, variable = source.graph.rpartition(":")
    for folder in (*source.dependencies, source.folder):
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
    stamp = _stamp(str(path))
    known = sys.modules.get(name)
    if known is not None and known.__dict__.get("__parley_stamp__") == stamp:
        return known
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    module.__dict__["__parley_stamp__"] = stamp
    return module


# -- changes -----------------------------------------------------------------------------------------------------------


def _file_of(source: AgentSource) -> str | None:
    place = source.graph.rpartition(":")[0]
    return place if place.endswith(".py") else None


def _stamp(file: str | None) -> Stamp | None:
    if file is None:
        return None
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _watch(home: Home, *, since_ns: int) -> None:
    """Note the files that have been imported from a home, as they are; one that was written since is taken for changed."""
    home.looked_at, home.looked_ns, home.modules = time.monotonic(), since_ns, len(sys.modules)
    now_ns = time.time_ns()
    for module in _modules_in(home.folders)[:MAX_WATCHED]:
        file = str(module.__file__)
        stamp = _stamp(file)
        is_late = stamp is not None and since_ns <= stamp[0] <= now_ns
        home.files.setdefault(file, None if is_late else stamp)


def _changed(home: Home) -> bool:
    """Whether a file of a home has changed since it was imported. One that is gone may be in the middle of being saved."""
    since_ns, home.looked_ns, home.looked_at = home.looked_ns, time.time_ns(), time.monotonic()
    if home.modules != len(sys.modules):
        _watch(home, since_ns=since_ns)
    return any((stamp := _stamp(file)) is not None and stamp != known for file, known in list(home.files.items()))


def _drop(home: Home) -> None:
    """Forget a home's modules, and whatever else was opened from a folder of it; once, whoever has seen the same change."""
    with _lock:
        if _homes.get(home.folders) is not home:
            return
        for module in _modules_in(home.folders):
            del sys.modules[module.__name__]
        for file in home.files:
            with suppress(OSError, NotImplementedError):  # Python would take up what it compiled before, within the same second
                os.unlink(importlib.util.cache_from_source(file))
        for key, opened in list(_opened.items()):
            if set(folders_of(opened.source)) & set(home.folders):
                del _opened[key]
        for folders in [each for each in _homes if set(each) & set(home.folders)]:
            del _homes[folders]
        _types.clear()
        importlib.invalidate_caches()


def _modules_in(folders: tuple[str, ...]) -> list[ModuleType]:
    """The imported modules whose files are in these folders; none of the server's own, and none of an installed package."""
    found = []
    for name, module in sys.modules.copy().items():  # copied in one step: other threads import at the same time
        file = getattr(module, "__file__", None) or ""
        if not file.startswith(folders) or file.startswith(PYTHON) or name.partition(".")[0] in OURS:
            continue
        if not any(part in INSTALLED for part in Path(file).parts) and sys.modules.get(module.__name__) is module:
            found.append(module)
    return found
