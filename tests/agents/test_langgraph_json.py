"""What a `langgraph.json` may say, and every way in which it may be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.agents.catalogue import Catalogue
from server.agents.config import AuthCache, StoreIndex, StoreTtl, ThreadTtl, Webhooks
from server.agents.langgraph_json import read_config, refuse_unsafe
from server.agents.manifests import BadManifest
from server.kit.cors import Cors
from server.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an agent's code, and a package beside it."""
    (tmp_path / "agent.py").write_text("raise RuntimeError('never imported')\n")
    (tmp_path / "library" / "src").mkdir(parents=True)
    return tmp_path.resolve()


def written(folder: Path, name: str, values: Any) -> Path:
    path = folder / name
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def config(folder: Path, **values: Any) -> Path:
    return written(folder, "langgraph.json", {"graphs": {"helper": "./agent.py:graph"}, **values})


def test_a_graph_is_an_agent_of_its_name(folder):
    [agent] = read_config(config(folder)).agents
    assert (agent.agent_id, agent.name, agent.source, agent.ready) == ("helper", "helper", "config", True)
    assert agent.graph == f"{folder}/agent.py:graph"
    assert agent.folder == str(folder)


def test_a_graph_may_be_an_object_with_a_description(folder):
    graphs = {"one": {"path": "./agent.py:graph", "description": "The first."}, "two": {"path": "agent.py:other"}}
    first, second = read_config(config(folder, graphs=graphs)).agents
    assert (first.short_description, second.short_description) == ("The first.", "A graph of langgraph.json.")


def test_a_graph_may_name_a_module(folder):
    [agent] = read_config(config(folder, graphs={"helper": "helpers.desk:graph"})).agents
    assert agent.graph == "helpers.desk:graph"


def test_folders_among_the_dependencies_belong_on_the_path_and_packages_do_not(folder):
    [agent] = read_config(config(folder, dependencies=[".", "./library", "langchain-openai"])).agents
    assert agent.dependencies == (str(folder), f"{folder}/library", f"{folder}/library/src")


def test_the_environment_may_be_written_in_the_config(folder):
    [agent] = read_config(config(folder, env={"CITY": "Oslo", "LIMIT": 3})).agents
    assert agent.env == {"CITY": "Oslo", "LIMIT": "3"}


def test_the_environment_may_stand_in_a_file(folder):
    written(folder, ".env", "CITY='Oslo'\n")
    [agent] = read_config(config(folder, env=".env")).agents
    assert agent.env == {"CITY": "Oslo"}


def test_the_values_of_the_environment_are_not_in_what_is_printed_of_an_agent(folder):
    [agent] = read_config(config(folder, env={"KEY": "sk-secret"})).agents
    assert "sk-secret" not in repr(agent)


def test_keys_that_this_server_has_no_use_for_are_left_alone(folder):
    assert read_config(config(folder, store={"index": {}}, http={}, python_version="3.12", node_version="20"))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "holds no JSON object"),
        ("{}", "graphs is an object"),
        ({"graphs": {}}, "graphs is an object"),
        ({"graphs": ["./agent.py:graph"]}, "graphs is an object"),
        ({"graphs": {"helper": 1}}, "graph helper is"),
        ({"graphs": {"helper": {"description": "no path"}}}, "graph helper is"),
        ({"graphs": {"helper": {"path": "./agent.py:graph", "description": 1}}}, "description of graph helper"),
        ({"graphs": {"two words": "./agent.py:graph"}}, "is no id of an agent"),
        ({"graphs": {"../up": "./agent.py:graph"}}, "is no id of an agent"),
        ({"graphs": {"x" * 129: "./agent.py:graph"}}, "is no id of an agent"),
        ({"graphs": {"helper": "./agent.py"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": "./agent.py:"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": "./agent.py:not-a-name"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": ":graph"}}, "is no 'file.py:variable'"),
        ({"graphs": {"helper": "./gone.py:graph"}}, "does not exist"),
        ({"graphs": {"helper": "./agent.ts:graph"}}, "is no Python file"),
        ({"graphs": {"helper": "agent-x:graph"}}, "is no Python file and no module"),
        ({"graphs": {"helper": "agent.py:graph"}, "dependencies": "."}, "dependencies is a list"),
        ({"graphs": {"helper": "agent.py:graph"}, "dependencies": ["./gone"]}, "is no folder"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": ["A"]}, "env is an object"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": {"A": [1]}}, "values of env"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": ".gone"}, "cannot be read"),
        ({"graphs": {"helper": "agent.py:graph"}, "env": "agent.py"}, "line 1 is no NAME=value"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_with_its_name_and_the_reason(folder, values, why):
    path = written(folder, "langgraph.json", values)
    with pytest.raises(BadManifest, match=why) as raised:
        read_config(path)
    assert str(folder) in str(raised.value)


def test_a_config_that_is_not_there_is_refused(folder):
    with pytest.raises(BadManifest, match="cannot be read"):
        read_config(folder / "gone.json")


def test_a_file_too_large_for_a_config_is_refused(folder):
    with pytest.raises(BadManifest, match="is larger than"):
        read_config(written(folder, "langgraph.json", " " * (2**20 + 1)))


# -- besides the graphs ------------------------------------------------------------------------------------------------


def test_a_config_that_says_nothing_else_has_nothing_else(folder):
    config_ = read_config(config(folder))
    names = ("store_index", "store_ttl", "thread_ttl", "auth_path", "auth_cache", "cors", "webhooks")
    assert [getattr(config_, name) for name in names] == [None] * len(names)
    assert config_.folder == str(folder)


def test_empty_sections_are_as_good_as_none(folder):
    empty: dict[str, Any] = {name: {} for name in ("store", "checkpointer", "auth", "http")}
    assert read_config(config(folder, **empty, webhooks=None)).auth_path is None


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({}, StoreIndex(512, "", ("$",))),
        ({"dims": 64}, StoreIndex(64, "", ("$",))),
        ({"dims": 1536, "embed": "openai:text-embedding-3-small"}, StoreIndex(1536, "openai:text-embedding-3-small", ("$",))),
        ({"dims": 3, "embed": "openai:a", "fields": ["title", "author.name"]}, StoreIndex(3, "openai:a", ("title", "author.name"))),
        ({"dims": 3, "embed": "openai:a", "fields": None}, StoreIndex(3, "openai:a", ("$",))),
    ],
)
def test_the_store_may_be_searched_by_meaning(folder, index, expected):
    assert read_config(config(folder, store={"index": index})).store_index == expected


def test_the_function_that_embeds_may_be_in_a_file(folder):
    index = read_config(config(folder, store={"index": {"dims": 3, "embed": "./agent.py:embed"}})).store_index
    assert index is not None
    assert index.embed == f"{folder}/agent.py:embed"


def test_items_and_threads_may_have_a_time_to_live(folder):
    store = {"ttl": {"default_ttl": 10, "refresh_on_read": False, "sweep_interval_minutes": 2}}
    threads = {"ttl": {"strategy": "keep_latest", "default_ttl": 43200.5, "sweep_interval_minutes": 60, "sweep_limit": 7}}
    read = read_config(config(folder, store=store, checkpointer=threads))
    assert read.store_ttl == StoreTtl(10.0, refresh_on_read=False, sweep_minutes=2.0)
    assert read.thread_ttl == ThreadTtl("keep_latest", 43200.5, 60.0, 7)
    bare = read_config(config(folder, store={"ttl": {}}, checkpointer={"ttl": {}}))
    assert (bare.store_ttl, bare.thread_ttl) == (StoreTtl(), ThreadTtl())


def test_handlers_are_named_by_their_place(folder):
    written(folder, "auth.py", "raise RuntimeError('never imported')")
    assert read_config(config(folder, auth={"path": "./auth.py:auth", "disable_studio_auth": True})).auth_path == f"{folder}/auth.py:auth"
    assert read_config(config(folder, auth={"path": "mine.auth:auth"})).auth_path == "mine.auth:auth"
    cache = {"cache_keys": ["Authorization", "X-Team"], "ttl_seconds": 5, "max_size": 10}
    read = read_config(config(folder, auth={"path": "mine.auth:auth", "cache": cache}))
    assert read.auth_cache == AuthCache(("authorization", "x-team"), 5.0, 10)


def test_pages_of_other_origins_are_let_in_by_rules(folder):
    cors = {"allow_origins": ["https://a.example"], "allow_methods": ["get"], "allow_headers": ["X-A"], "allow_credentials": True}
    more = {"allow_origin_regex": r"https://.*\.example", "expose_headers": ["X-B"], "max_age": 0}
    expected = Cors(("https://a.example",), r"https://.*\.example", ("GET",), ("X-A",), ("X-B",), with_credentials=True, max_age_s=0)
    assert read_config(config(folder, http={"cors": {**cors, **more}})).cors == expected


def test_webhooks_have_headers_with_variables_and_a_policy(folder, monkeypatch):
    monkeypatch.setenv("LG_WEBHOOK_TEAM", "red")
    headers = {
        "Authorization": "Bearer ${{ env.LG_WEBHOOK_KEY }}",
        "X-Who": "${{env.LG_WEBHOOK_TEAM}}-${{ env.LG_WEBHOOK_KEY }}",
        "X-A": "b",
    }
    url = {"require_https": True, "allowed_domains": ["Hooks.example.com", "*.corp.example"], "allowed_ports": [443, 8443]}
    webhooks = {"headers": headers, "url": {**url, "max_url_length": 100, "disable_loopback": True}}
    read = read_config(config(folder, env={"LG_WEBHOOK_KEY": "k1"}, webhooks=webhooks))
    assert read.webhooks == Webhooks(
        {"Authorization": "Bearer k1", "X-Who": "red-k1", "X-A": "b"},
        require_https=True,
        domains=("hooks.example.com", "*.corp.example"),
        ports=(443, 8443),
        max_url_chars=100,
        no_loopback=True,
    )
    assert "k1" not in repr(read)


def test_the_prefix_of_a_webhooks_variables_can_be_chosen(folder):
    webhooks = {"env_prefix": "MINE_", "headers": {"X-A": "${{ env.MINE_KEY }}"}}
    read = read_config(config(folder, env={"MINE_KEY": "k1"}, webhooks=webhooks))
    assert read.webhooks is not None
    assert read.webhooks.headers == {"X-A": "k1"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"store": []}, "store is an object"),
        ({"store": {"index": "openai:a"}}, "store.index is an object"),
        ({"store": {"index": {"embed": "openai:a"}}}, "store.index.dims is needed"),
        ({"store": {"index": {"dims": 0}}}, "store.index.dims is a number above 0"),
        ({"store": {"index": {"dims": True}}}, "store.index.dims is a number"),
        ({"store": {"index": {"dims": 1.5}}}, "store.index.dims is a whole number"),
        ({"store": {"index": {"dims": 10**6}}}, "store.index.dims is a number"),
        ({"store": {"index": {"dims": 3, "embed": "openai"}}}, "store.index.embed is 'provider:model'"),
        ({"store": {"index": {"dims": 3, "embed": 7}}}, "store.index.embed is a text"),
        ({"store": {"index": {"dims": 3, "embed": "./gone.py:embed"}}}, "does not exist"),
        ({"store": {"index": {"dims": 3, "fields": "title"}}}, "store.index.fields is a list of texts"),
        ({"store": {"ttl": {"default_ttl": -1}}}, "store.ttl.default_ttl is a number above 0"),
        ({"store": {"ttl": {"refresh_on_read": "yes"}}}, "store.ttl.refresh_on_read is true or false"),
        ({"checkpointer": {"ttl": {"strategy": "archive"}}}, "checkpointer.ttl.strategy is delete or keep_latest"),
        ({"checkpointer": {"ttl": {"default_ttl": "1h"}}}, "checkpointer.ttl.default_ttl is a number"),
        ({"checkpointer": {"ttl": {"sweep_interval_minutes": 0}}}, "checkpointer.ttl.sweep_interval_minutes is a number above 0"),
        ({"auth": "./auth.py:auth"}, "auth is an object"),
        ({"auth": {"path": 7}}, "auth.path is a text"),
        ({"auth": {"path": "./gone.py:auth"}}, "does not exist"),
        ({"auth": {"path": "./agent.py"}}, "is no 'file.py:variable'"),
        ({"auth": {"path": "m:a", "cache": {"cache_keys": "authorization"}}}, "auth.cache.cache_keys is a list of texts"),
        ({"http": {"cors": {"allow_origins": "*"}}}, "http.cors.allow_origins is a list of texts"),
        ({"http": {"cors": {"allow_origin_regex": "("}}}, "http.cors.allow_origin_regex is a regular expression"),
        ({"http": {"cors": {"max_age": -1}}}, "http.cors.max_age is a number"),
        ({"webhooks": {"headers": {"X-A": 1}}}, "webhooks.headers is an object of texts"),
        ({"webhooks": {"headers": {"X A": "b"}}}, "webhooks.headers.X A is no header's name"),
        ({"webhooks": {"headers": {"X-A": "a\r\nX-B: c"}}}, "it holds a line break"),
        ({"webhooks": {"headers": {"X-A": "${{ env.SECRET_KEY }}"}}}, "in want of the variable SECRET_KEY"),
        ({"webhooks": {"headers": {"X-A": "${{ env.LG_WEBHOOK_GONE }}"}}}, "in want of the variable LG_WEBHOOK_GONE"),
        ({"webhooks": {"url": {"allowed_ports": ["443"]}}}, "webhooks.url.allowed_ports is a list of ports"),
        ({"webhooks": {"url": {"allowed_ports": [70000]}}}, "webhooks.url.allowed_ports is a list of ports"),
        ({"webhooks": {"url": {"require_https": 1}}}, "webhooks.url.require_https is true or false"),
    ],
)
def test_a_section_that_cannot_be_used_is_refused_with_its_key(folder, values, why):
    path = config(folder, **values)
    with pytest.raises(BadManifest, match=why) as raised:
        read_config(path)
    assert str(raised.value).startswith(str(path))


OPEN = {"allow_origins": ["*"]}
PATTERN = {"allow_origin_regex": "https?://.*"}


@pytest.mark.parametrize(
    ("cors", "host", "why"),
    [
        (OPEN, "0.0.0.0", "for loopback only"),
        (PATTERN, "0.0.0.0", "for loopback only"),
        ({**OPEN, "allow_credentials": True}, "127.0.0.1", "with credentials"),
        ({**PATTERN, "allow_credentials": True}, "127.0.0.1", "with credentials"),
    ],
)
def test_rules_that_let_every_page_in_are_refused_as_settings_are(folder, cors, host, why):
    path = config(folder, http={"cors": cors})
    with pytest.raises(BadManifest, match=why):
        refuse_unsafe(path, read_config(path), Settings(host=host))


@pytest.mark.parametrize(
    ("cors", "host"),
    [
        (OPEN, "127.0.0.1"),
        ({"allow_origins": ["https://a.example"], "allow_credentials": True}, "0.0.0.0"),
        ({"allow_origin_regex": r"https://.*\.example\.com", "allow_credentials": True}, "0.0.0.0"),
    ],
)
def test_rules_that_name_who_may_come_are_taken(folder, cors, host):
    path = config(folder, http={"cors": cors})
    refuse_unsafe(path, read_config(path), Settings(host=host))


def test_the_last_good_sections_stay_in_force_and_the_problem_is_told(folder):
    path = config(folder, checkpointer={"ttl": {"default_ttl": 5}})
    catalogue = Catalogue(Settings(agents_config=str(path)), look_every_s=0)
    assert catalogue.config().thread_ttl == ThreadTtl(default_minutes=5.0)
    config(folder, checkpointer={"ttl": {"default_ttl": -5, "strategy": "delete"}})
    assert catalogue.config().thread_ttl == ThreadTtl(default_minutes=5.0)
    assert "default_ttl" in catalogue.problems()[0]
    config(folder)
    assert catalogue.config().thread_ttl is None
