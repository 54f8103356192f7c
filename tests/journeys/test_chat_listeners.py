"""Many who listen to one answer cost Redis one connection, and all hear the same."""

from __future__ import annotations

import concurrent.futures
import json

import redis

from tests.chats.raw import Raw
from tests.stack import Stack
from tests.talk import Person

LISTENERS = 300


def test_all_who_listen_to_one_answer_share_one_blocking_connection(agents: Stack, ada: Person) -> None:
    chat_id = ada.chat("slow")
    servers = json.loads((agents.data_dir / "run" / "servers.json").read_text())

    def listen(_: int) -> Raw:
        return Raw(agents.base_url, {"connection_string": ada.connection_string(chat_id)}, since=0)

    with redis.Redis.from_url(servers["redis"]["url"]) as watcher, concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = listen(0)
        before = len(watcher.client_list(_type="pubsub"))
        sockets = [first, *pool.map(listen, range(LISTENERS - 1))]
        first.ask("message", {"message_string": ada.message_string(chat_id), "content": "n=10 delay=0.02"})
        for raw in sockets:
            raw.until(lambda raw=raw: raw.of("message")[-1:] != [] and raw.of("message")[-1]["role"] == "assistant")
        assert len(watcher.client_list(_type="pubsub")) == before
    heard = {json.dumps([event for event in raw.events if event[0] != "session"]) for raw in sockets}
    assert len(heard) == 1
    assert first.numbers() == list(range(1, len(first.numbers()) + 1))
    for raw in sockets:
        raw.close()
