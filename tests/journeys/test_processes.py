"""The processes of a server: killed and started again, replaced, and started one by one."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import pytest
import requests

from server.kit.embedded import system, valkey
from tests.journeys.outside import is_unlocked, pings, register
from tests.stack import Stack, eventually, parley, plain_environment


@pytest.mark.parametrize("kind", ["web", "worker", "scheduler"])
def test_a_process_that_is_killed_comes_back(stack: Stack, kind: str) -> None:
    killed = stack.kill(kind)
    assert stack.await_restart(kind, killed)
    assert eventually(lambda: pings(stack.base_url), what="an answer")


def test_a_process_that_restarts_while_redis_is_away_keeps_its_address(folder: Path) -> None:
    theirs = folder / "theirs"
    valkey.prepare(theirs)
    redis = valkey.spawn(theirs)
    running = Stack.started(data_dir=folder / "data", REDIS_URL=valkey.address(theirs))
    try:
        redis.kill()
        redis.wait()
        running.await_restart("web", running.kill("web"))
        told = requests.get(f"{running.base_url}/health", timeout=10).json()["redis"]
        assert "fallback" not in told
    finally:
        running.stop()
        redis.kill()


def test_a_restart_of_the_web_process_refuses_nobody(stack: Stack) -> None:
    failures: list[str] = []
    answered = [0]
    stop = threading.Event()

    def ask(keep_open: bool) -> None:
        session = requests.Session()
        while not stop.is_set():
            try:
                answer = (session if keep_open else requests).get(f"{stack.base_url}/ping", timeout=10)
                answered[0] += 1
                if answer.status_code != 200:
                    failures.append(str(answer.status_code))
            except requests.RequestException as error:
                failures.append(repr(error))

    clients = [threading.Thread(target=ask, args=(keep_open,)) for keep_open in (True, True, False, False)]
    before = {kind: stack.pids(kind) for kind in ("web", "worker", "scheduler")}
    for client in clients:
        client.start()
    stack.signal(signal.SIGHUP)
    try:
        for kind, pids in before.items():
            stack.await_restart(kind, pids, within_s=60)
        old = [pid for pids in before.values() for pid in pids]
        eventually(lambda: not any(system.is_alive(pid) for pid in old), within_s=30, what="the end of the old processes")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert (failures, answered[0] > 50) == ([], True)


def test_the_processes_work_one_by_one_and_share_the_embedded_servers(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = plain_environment(PORT=str(port), DATA_DIR=str(folder / "data"))
    assert parley("migrate", environ=environ).wait(60) == 0
    log = (folder / "log").open("w")
    processes = [parley(word, environ=environ, stdout=log, start_new_session=True) for word in ("web", "worker", "scheduler")]
    try:
        assert eventually(lambda: pings(f"http://127.0.0.1:{port}"), within_s=30)
        assert register(f"http://127.0.0.1:{port}", "ada@example.org") == 200
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(40) for process in processes]
        log.close()
    assert codes == [0, 0, 0], (folder / "log").read_text()
    eventually(lambda: is_unlocked(folder / "data" / "run" / "keeper.lock"), what="the end of the keeper")
