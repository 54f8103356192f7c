"""An answer outlives what it depends on: web, worker, Redis, PostgreSQL, and everything at once while a human is asked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.conftest import AGENTS
from tests.stack import Stack, eventually
from tests.talk import Line, Person, living_text, numbers

COUNT = 80
ANSWER = "".join(f"{number} " for number in range(1, COUNT + 1))


def kill_web(stack: Stack) -> None:
    stack.await_restart("web", stack.kill("web"))


def kill_worker(stack: Stack) -> None:
    stack.await_restart("worker", stack.kill("worker"))


def kill_redis(stack: Stack) -> None:
    _kill_server(stack, "redis")


def kill_postgres(stack: Stack) -> None:
    _kill_server(stack, "database")


def _kill_server(stack: Stack, name: str) -> None:
    killed = stack.server_pid(name)
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return stack.server_pid(name) != killed
        except KeyError:
            return False

    eventually(is_back, what=f"another {name}")


@pytest.mark.parametrize("kill", [kill_worker, kill_web, kill_redis, kill_postgres])
def test_an_answer_outlives(agents: Stack, ada: Person, kill: Callable[[Stack], None]) -> None:
    chat_id = ada.chat("slow")
    watchers = [Line(ada, chat_id).open(), Line(ada, chat_id, transports=("polling",)).open()]
    run_id = watchers[0].say(f"n={COUNT} delay=0.04")["run_id"]
    watchers[0].wait(lambda: len(watchers[0].of("token", run_id)) >= 10)
    kill(agents)
    for line in watchers:
        assert line.answer_to(run_id, within_s=60) == ANSWER
        assert numbers(line) == list(range(1, len(line.events) + 1))
        assert living_text(line, run_id) == ANSWER
        assert len([message for message in line.of("message", run_id) if message["role"] == "assistant"]) == 1
        line.close()
    eventually(lambda: ada.call("GET", "/health")["status"] == "ok", what="a server that is well")
    assert [message["content"] for message in ada.messages(chat_id)][1:] == [ANSWER]
    after = Line(ada, chat_id).open()
    eventually(lambda: after.emit("message", {"message_string": ada.message_string(chat_id), "content": "n=2"})["ok"])
    after.wait(lambda: len(after.of("message")) == 2, within_s=30)
    after.close()


def test_while_redis_is_away_nothing_is_accepted_and_the_string_stays_good(agents: Stack, ada: Person) -> None:
    chat_id = ada.chat("slow")
    line = Line(ada, chat_id).open()
    string = ada.message_string(chat_id)
    pid = agents.server_pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        ack = line.emit("message", {"message_string": string, "content": "n=2"})
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ack["error"]["code"] == "unavailable"
    assert ada.messages(chat_id) == []
    ack = line.emit("message", {"message_string": string, "content": "n=2"})
    assert ack["ok"], ack
    assert line.answer_to(ack["run_id"]) == "1 2 "
    line.close()


def descendants(pid: int) -> list[int]:
    """All processes that a process has started, and those that these have started."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *descendants(child))]


def test_a_question_outlives_everything() -> None:
    folder = Path(tempfile.mkdtemp(prefix="parley-"))
    settings = {"data_dir": folder / "data", "AGENTS_CONFIG": str(AGENTS)}
    first = Stack.started(**settings)  # type: ignore[arg-type]
    person = Person(first.base_url)
    chat_id = person.chat("asking")
    line = Line(person, chat_id).open()
    run_id = line.say("a shirt, please")["run_id"]
    line.await_status(run_id, "interrupted")
    heard = line.last_seq
    line.close()
    servers = json.loads((first.data_dir / "run" / "servers.json").read_text())
    roots = [first.process.pid, servers["keeper"], *first.state()["children"].values(), servers["database"]["pid"], servers["redis"]["pid"]]
    victims = {pid for root in roots for pid in (root, *descendants(root))}
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    first.process.wait()
    # Dead and buried: PostgreSQL takes a process that only waits to be buried for one that runs.
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in victims), what="the end of everything")
    second = Stack.started(**settings)  # type: ignore[arg-type]
    try:
        person.base_url = second.base_url
        line = Line(person, chat_id, base_url=second.base_url).open(since=0)
        line.wait(lambda: line.last_seq == heard)
        for answer in ("red", "XL"):
            eventually(lambda answer=answer: line.emit("answer", {"run_id": run_id, "value": answer})["ok"])
        assert line.answer_to(run_id) == "red and XL"
        assert numbers(line) == list(range(1, len(line.events) + 1))
        line.close()
    finally:
        second.stop()
        shutil.rmtree(folder, ignore_errors=True)
