"""The store that a run's agent sees: what its owner's agents remember, beside the documents of its workspace."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp

from server.agents.memory import actions
from server.engine import recall
from server.engine.job import AgentSource
from server.engine.memory import RunStore
from server.engine.room import Engine
from server.kit.db import driver_url
from server.runs.leases import FENCE_SQL
from server.runs.memories import WorkerMemory
from server.settings import Settings
from tests.agents.memory.conftest import Configure, configure
from tests.engine.conftest import Heard, written
from tests.runs import factories

__all__ = ["configure"]

ME = ("me",)
DOCUMENTS = ("workspace", "w1", "documents")

REMEMBERING = """
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
async def say(state, *, store):
    text = state["messages"][-1].text
    known = await store.aget(("facts",), "last")
    found = await store.asearch(("facts",), query=text)
    await store.aput(("facts",), "last", {"text": text})
    return {"messages": [AIMessage(f"before: {known.value['text'] if known else 'nothing'}, found {len(found)}")]}
graph = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").add_edge("say", END).compile()
"""

EMBEDDINGS = """
from langchain_core.embeddings import Embeddings
def plain(texts): return [[float(text.count("x")), 1.0] for text in texts]
async def waiting(texts): return plain(texts)
class Own(Embeddings):
    def embed_documents(self, texts): return plain(texts)
    def embed_query(self, text): return [float(text.count("x")), 2.0]
whole = Own()
def broken(texts): raise RuntimeError("secret")
async def slow(texts):
    import asyncio
    await asyncio.sleep(60)
"""


@pytest.fixture
def engine(app: Flask, settings: Settings) -> Iterator[Engine]:
    held: list[Engine] = []
    made = Engine(
        driver_url(settings.database_url),
        FENCE_SQL,
        search=lambda *_: [],
        memory=WorkerMemory(app, lambda: held[0]),
        block_s=0.5,
        max_runs=64,
    )
    held.append(made)
    made.open()
    yield made
    made.close()


@pytest.fixture
def memory(app: Flask, engine: Engine) -> WorkerMemory:
    return WorkerMemory(app, lambda: engine)


@pytest.fixture
def store(memory: WorkerMemory, owner_id: uuid.UUID) -> RunStore:
    return RunStore(
        lambda *_: [{"document_id": "d", "position": 0, "text": "passage", "score": 0.5}], "w1", memory=memory, owner_id=owner_id
    )


def test_an_agent_finds_again_what_it_put_whether_it_waits_or_not(store: RunStore) -> None:
    store.put(ME, "k", {"text": "one", "n": 1})
    asyncio.run(store.aput(("me", "more"), "l", {"text": "two", "n": 2}))
    item = store.get(ME, "k")
    assert item is not None
    assert (item.value, item.key, item.namespace) == ({"text": "one", "n": 1}, "k", ME)
    assert [each.key for each in store.search(ME)] == ["k", "l"]
    assert [each.key for each in asyncio.run(store.asearch(ME, filter={"n": {"$gt": 1}}))] == ["l"]
    store.delete(ME, "k")
    assert asyncio.run(store.aget(ME, "k")) is None


def test_a_program_and_an_agent_of_one_owner_share_a_memory(store: RunStore, owner_id: uuid.UUID) -> None:
    store.put(ME, "k", {"by": "agent"})
    [item] = actions.carry_out(owner_id, [recall.Get(ME, "k")])
    assert item.value == {"by": "agent"}
    assert actions.carry_out(factories.owner(), [recall.Get(ME, "k"), recall.Find()]) == [None, []]


def test_a_batch_answers_each_operation_in_its_place(store: RunStore) -> None:
    store.put(ME, "k", {"n": 1})
    results = store.batch(
        [
            SearchOp(DOCUMENTS, query="x"),
            GetOp(ME, "k"),
            PutOp(ME, "k", {"n": 2}),
            GetOp(DOCUMENTS, "d:0"),
            ListNamespacesOp(),
            SearchOp(ME),
            PutOp(ME, "none", None),
        ]
    )
    passages, item, put, passage, namespaces, found, deleted = results
    assert [each.value for each in passages] == [{"document_id": "d", "position": 0, "text": "passage"}]  # type: ignore[union-attr]
    assert item.value == {"n": 1}  # type: ignore[union-attr]
    assert (put, passage, deleted) == (None, None, None)
    assert namespaces == [DOCUMENTS, ME]
    assert [each.value for each in found] == [{"n": 1}]  # type: ignore[union-attr]


def test_the_documents_are_the_first_namespace_and_pages_count_them(store: RunStore) -> None:
    for name in ("a", "b", "c"):
        store.put((name,), "k", {})
    assert [store.list_namespaces(limit=2, offset=at) for at in (0, 2, 4)] == [[DOCUMENTS, ("a",)], [("b",), ("c",)], []]
    assert store.list_namespaces(prefix=("workspace", "*"), max_depth=2) == [("workspace", "w1")]
    assert store.list_namespaces(suffix=("b",)) == [("b",)]


@pytest.mark.parametrize("value", [{"text": "mine"}, None], ids=["write", "delete"])
def test_the_documents_can_only_be_read_and_such_a_batch_writes_nothing_else(store: RunStore, value: Any) -> None:
    with pytest.raises(NotImplementedError, match="write nothing"):
        store.batch([PutOp(ME, "k", {}), PutOp(DOCUMENTS, "1", value)])
    assert store.get(ME, "k") is None


@pytest.mark.parametrize(
    ("namespace", "key", "value"),
    [
        ((), "k", {}),
        (("a.b",), "k", {}),
        (("",), "k", {}),
        (("langgraph",), "k", {}),
        (ME, "k" * 2000, {}),
        (ME, "\x00", {}),
        (ME, "\ud800", {}),
        (ME, "k", {"x": "\x00"}),
        (ME, "k", {"x": "\ud800"}),
        (ME, "k", {"x": object()}),
        (ME, "k", {1: "x"}),
        (ME, "k", {"x": 2**70}),
        (ME, "k", {"x": "y" * 2**20}),
    ],
)
def test_what_cannot_be_kept_is_a_value_error_that_says_so(store: RunStore, namespace: tuple[str, ...], key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)namespace|key|value"):
        store.batch([PutOp(namespace, key, value)])
    assert store.search(()) == []


def test_an_item_lives_as_long_as_the_agent_says_or_else_the_configuration(
    store: RunStore,
    owner_id: uuid.UUID,
    configure: Configure,
) -> None:
    configure(ttl={"default_ttl": 30})
    store.put(ME, "default", {})
    store.put(ME, "short", {}, ttl=5)
    store.put(ME, "for ever", {}, ttl=None)
    items = actions.carry_out(owner_id, [recall.Find(ME)])[0]
    assert {item.key: item.ttl_minutes for item in items} == {"default": 30.0, "short": 5.0, "for ever": None}


def test_a_slow_memory_does_not_hold_up_the_loop(owner_id: uuid.UUID) -> None:
    loop_went_on = threading.Event()

    class Slow:
        def carry_out(self, owner_id: uuid.UUID, ops: Sequence[recall.Op]) -> list[Any]:
            return [None if loop_went_on.wait(10) else "held up" for _ in ops]

        def lifetimes(self) -> recall.Lifetimes:
            return recall.Lifetimes()

    async def both() -> Any:
        reading = asyncio.ensure_future(RunStore(lambda *_: [], None, memory=Slow(), owner_id=owner_id).aget(ME, "k"))
        await asyncio.sleep(0)
        loop_went_on.set()
        return await reading

    assert asyncio.run(both()) is None


def test_a_run_remembers_what_an_earlier_run_of_the_owner_was_told(begin: Any, owner_id: uuid.UUID, tmp_path: Path) -> None:
    agent = written(tmp_path, REMEMBERING)
    told = []
    for text in ("one", "two"):
        heard: Heard = begin(agent, text)
        outcome = heard.outcome()
        assert outcome is not None
        told.append(outcome.output)
    assert "before: nothing, found 0" in str(told[0])
    assert "before: one, found 1" in str(told[1])
    [kept] = actions.carry_out(owner_id, [recall.Get(("facts",), "last")])
    assert kept.value == {"text": "two"}


# -- embeddings --------------------------------------------------------------------------------------------------------


def embedding(folder: Path, name: str) -> AgentSource:
    (folder / "embedding.py").write_text(EMBEDDINGS)
    return AgentSource("store.index", f"{folder}/embedding.py:{name}", str(folder))


@pytest.mark.parametrize(("name", "query"), [("plain", [1.0, 1.0]), ("waiting", [1.0, 1.0]), ("whole", [1.0, 2.0])])
def test_an_embedding_of_a_file_may_be_a_function_or_an_object(engine: Engine, tmp_path: Path, name: str, query: list[float]) -> None:
    source = embedding(tmp_path, name)
    assert engine.embed(source, ["xx", "y"], "item") == [[2.0, 1.0], [0.0, 1.0]]
    assert engine.embed(source, ["x"], "query") == [query]


class Letters:
    """Tokens without a vocabulary."""

    def encode(self, text: str, **_: Any) -> list[int]:
        return [ord(letter) for letter in text]

    encode_ordinary = encode


def test_an_embedding_of_a_provider_is_made_once_with_the_variables_of_the_configuration(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[dict[str, Any]] = []

    class Provider(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answered.append({"key": self.headers["Authorization"], **asked})
            vectors = [{"object": "embedding", "index": n, "embedding": [float(n), 1.0]} for n in range(len(asked["input"]))]
            body = json.dumps({"object": "list", "data": vectors, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    monkeypatch.setattr("tiktoken.encoding_for_model", lambda _: Letters())  # else it fetches a vocabulary at its first use
    monkeypatch.setenv("OPENAI_API_KEY", "")  # both are put back after the test
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        env = {"OPENAI_API_KEY": "from the config", "OPENAI_BASE_URL": f"http://127.0.0.1:{provider.server_address[1]}/v1"}
        source = AgentSource("store.index", "openai:text-embedding-3-small", str(tmp_path), env)
        made = [engine.embed(source, texts, "item") for texts in (["a", "b"], ["c"])]
        provider.shutdown()
    assert [[len(vector) for vector in each] for each in made] == [[2, 2], [2]]
    assert {each["key"] for each in answered} == {"Bearer from the config"}


def test_an_agent_searches_by_the_embedding_that_the_configuration_names(
    store: RunStore,
    tmp_path: Path,
    configure: Configure,
) -> None:
    embedding(tmp_path, "plain")
    configure(index={"dims": 2, "embed": "./embedding.py:plain", "fields": ["text"]})
    for key in ("y", "xxxx"):
        store.put(ME, key, {"text": key})
    found = store.search(ME, query="xxxxx")
    assert [item.key for item in found] == ["xxxx", "y"]
    assert found[0].score == pytest.approx(0.9989, abs=1e-3)


@pytest.mark.parametrize("name", ["broken", "missing"])
def test_an_embedding_that_fails_is_unavailable_and_its_words_stay_inside(
    store: RunStore,
    tmp_path: Path,
    configure: Configure,
    name: str,
) -> None:
    embedding(tmp_path, name)
    configure(index={"dims": 2, "embed": f"./embedding.py:{name}"})
    with pytest.raises(Exception, match=f"The embedding embedding.py:{name} does not answer") as refused:
        store.put(ME, "k", {"text": "x"})
    assert refused.value.code == "embedding_failed"  # type: ignore[attr-defined]
    assert store.get(ME, "k") is None
