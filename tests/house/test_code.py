"""The house's promises about its own code, each checked by walking it."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from server.app import TASKS
from server.chats.actions import REPLY
from server.kit.db import db
from server.kit.queue import celery
from server.runs.actions import EXECUTE, FORGET
from tests.stack import plain_environment

ROOT = Path(__file__).parents[2]
SERVER = sorted(path for path in (ROOT / "server").rglob("*.py") if "bundled" not in path.parts)
# `settings` reads it; `alone` and `imports` write what LangGraph and an agent's own code are to find there.
TOUCH_THE_ENVIRONMENT = {"settings.py", "alone.py", "imports.py"}
UNNAMED_IDEAS = re.compile(r"(^|_)(utils?|helpers?|common|base|misc|manager)$")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_importing_the_web_process_loads_no_agent_library(tmp_path: Path) -> None:
    check = "import wsgi, sys; print([m for m in sys.modules if m.startswith(('langchain', 'langgraph'))])"
    environ = plain_environment(DATA_DIR=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_migrations_make_the_tables_of_the_models(app: Flask) -> None:
    def is_ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or not (name or "").startswith(("checkpoint", "alembic_"))

    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_ours})
        assert compare_metadata(context, db.metadata) == []


def test_the_environment_is_read_in_the_settings_alone() -> None:
    assert {path.name for path in SERVER if re.search(r"os\.(environ|getenv)", path.read_text())} <= TOUCH_THE_ENVIRONMENT


def test_every_queued_name_is_a_registered_task() -> None:
    for name in TASKS:
        importlib.import_module(name)
    assert {EXECUTE, FORGET, REPLY} <= set(celery.tasks)


@pytest.mark.parametrize("path", SERVER, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_a_named_idea_of_a_size_to_read(path: Path) -> None:
    assert not UNNAMED_IDEAS.search(path.stem)
    assert len(path.read_text().splitlines()) <= 400
    assert [f"{each.name} has {_lines(each)} lines" for each in functions(path) if _lines(each) > 60] == []


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


@pytest.mark.parametrize("path", SERVER, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_are_documented_and_private_ones_stay_at_home(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body, "a module says what it is"
    undocumented = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and "__doc__" not in ast.dump(node)
    ]
    assert undocumented == []
    borrowed = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("server")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert borrowed == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError\(\)")
    assert [str(path) for path in SERVER if marks.search(path.read_text())] == []
