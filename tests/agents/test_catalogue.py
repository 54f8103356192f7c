from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from server.agents import catalogue
from server.agents.catalogue import Catalogue
from server.settings import Settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A `langgraph.json` with the graph `desk`."""
    (tmp_path / "agent.py").write_text("")
    return write(tmp_path / "langgraph.json", {"graphs": {"desk": "./agent.py:graph"}})


def write(path: Path, values: Any) -> Path:
    """Write a file with a time of its own, however coarse the clock of the file system."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    os.utime(path, ns=(before + 10**9, before + 10**9))
    return path


def reading(config: Path | str, **options: Any) -> Catalogue:
    return Catalogue(Settings(agents_config=str(config)), look_every_s=0, **options)


def ids(read: Catalogue) -> list[str]:
    return [agent.agent_id for agent in read.listed()]


def test_the_shipped_agents_are_there_without_any_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ids(reading("")) == ["assistant", "documents", "echo"]


def test_the_agents_of_a_config_come_first(config):
    assert ids(reading(config)) == ["desk", "assistant", "documents", "echo"]


def test_a_config_in_the_working_folder_is_found(config, monkeypatch):
    monkeypatch.chdir(config.parent)
    assert ids(reading(""))[0] == "desk"


def test_an_agent_of_a_config_takes_the_place_of_a_shipped_one(config):
    write(config, {"graphs": {"echo": "./agent.py:graph"}})
    echo = reading(config).get("echo")
    assert echo is not None
    assert echo.source == "config"


def test_an_unknown_id_is_nobody(config):
    assert reading(config).get("nobody") is None


def test_an_agent_without_what_it_needs_says_so_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assistant = reading("").get("assistant")
    assert assistant is not None
    assert not assistant.ready
    assert assistant.needs_text == "Set OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY or CHAT_MODEL to use this agent."


@pytest.mark.parametrize("name", ["openai_api_key", "openai_base_url", "anthropic_api_key", "chat_model"])
def test_an_agent_is_ready_with_any_one_of_what_it_needs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assistant = Catalogue(Settings(**{name: "x"})).get("assistant")
    assert assistant is not None
    assert (assistant.ready, assistant.needs_text) == (True, None)


# -- changes -----------------------------------------------------------------------------------------------------------


def test_a_changed_config_is_read_again(config):
    read = reading(config)
    write(config, {"graphs": {"counter": "./agent.py:graph"}})
    assert ids(read)[0] == "counter"


def test_a_changed_environment_file_is_read_again(config):
    write(config.parent / ".env", "CITY=Oslo")
    write(config, {"graphs": {"desk": "./agent.py:graph"}, "env": ".env"})
    read = reading(config)
    write(config.parent / ".env", "CITY=Bergen")
    desk = read.get("desk")
    assert desk is not None
    assert desk.env == {"CITY": "Bergen"}


def test_a_new_package_is_seen(tmp_path):
    read = reading("", packages=tmp_path)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "agent.py").write_text("")
    agent = {"agent_id": "new", "name": "New", "short_description": "New.", "graph": "./agent.py:graph"}
    write(tmp_path / "new" / "agent.json", {"schema": 1, "name": "new", "version": "1", "agents": [agent]})
    assert ids(read) == ["new"]


def test_between_two_looks_nothing_is_read_unless_somebody_says_so(config):
    read = Catalogue(Settings(agents_config=str(config)), look_every_s=3600)
    write(config, {"graphs": {"counter": "./agent.py:graph"}})
    assert ids(read)[0] == "desk"
    read.reload()
    assert ids(read)[0] == "counter"


# -- bad manifests -----------------------------------------------------------------------------------------------------


def test_the_last_good_config_stays_in_force_while_the_new_one_is_bad(config):
    read = reading(config)
    write(config, "{")
    assert ids(read)[0] == "desk"
    assert "is no JSON" in read.problems()[0]


def test_a_config_that_is_good_again_has_no_problems(config):
    read = reading(config)
    write(config, "{")
    read.problems()
    write(config, {"graphs": {"counter": "./agent.py:graph"}})
    assert ids(read)[0] == "counter"
    assert read.problems() == ()


def test_a_config_that_goes_away_is_a_problem_and_its_agents_stay(config):
    read = reading(config)
    config.unlink()
    assert ids(read)[0] == "desk"
    assert "cannot be read" in read.problems()[0]


def test_a_config_that_is_named_and_is_not_there_is_a_problem_and_the_shipped_agents_are_there(tmp_path):
    read = reading(tmp_path / "gone.json")
    assert ids(read) == ["assistant", "documents", "echo"]
    assert "gone.json cannot be read" in read.problems()[0]


def test_a_bad_manifest_is_an_error_in_the_log(config, caplog):
    write(config, "{")
    reading(config)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["agents.bad_manifest"]


def test_two_packages_with_one_id_are_a_problem_and_the_first_counts(tmp_path):
    agent = {"agent_id": "twin", "name": "Twin", "short_description": "One of two.", "graph": "./agent.py:graph"}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "agent.py").write_text("")
        write(tmp_path / name / "agent.json", {"schema": 1, "name": name, "version": "1", "agents": [agent]})
    read = reading("", packages=tmp_path)
    [twin] = read.listed()
    assert twin.folder.endswith("/a")
    assert "twin" in read.problems()[0]


# -- the app's ---------------------------------------------------------------------------------------------------------


def test_an_app_keeps_one_catalogue(config):
    app = Flask("test")
    installed = catalogue.install(app, Settings(agents_config=str(config)))
    with app.app_context():
        assert catalogue.get("desk") is installed.get("desk")
        assert catalogue.listed() == installed.listed()
        assert catalogue.problems() == ()


def test_an_app_that_has_none_yet_makes_it_from_its_settings(config):
    app = Flask("test")
    app.config["SETTINGS"] = Settings(agents_config=str(config))
    with app.app_context():
        assert catalogue.get("desk") is not None
        assert app.extensions["catalogue"].get("desk") is catalogue.get("desk")


def test_reading_manifests_imports_no_agent_library(config):
    program = (
        "import sys; from server.agents.catalogue import Catalogue; from server.settings import Settings;"
        f"assert Catalogue(Settings(agents_config={str(config)!r})).get('desk');"
        "sys.exit(str([name for name in sys.modules if name.startswith(('langchain', 'langgraph', 'openai'))] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == ""
