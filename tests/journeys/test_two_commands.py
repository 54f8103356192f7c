"""The whole server as `parley run` starts it: two side by side, stopped, killed in parts, killed as a whole, started again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from server.kit.embedded import system, valkey
from tests.stack import ROOT, Stack, eventually, parley, plain_environment

PASSWORD = "correct horse battery"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="parley-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def pings(base_url: str) -> bool:
    return requests.get(f"{base_url}/ping", timeout=5).json() == {"msg": "pong"}


def everything_that_runs(stack: Stack) -> list[int]:
    children = stack.state()["children"].values()
    return [stack.process.pid, *children, stack.server_pid("database"), stack.server_pid("redis")]


def register(base_url: str, email: str) -> int:
    return requests.post(f"{base_url}/register", json={"email": email, "password": PASSWORD}, timeout=10).status_code


def can_sign_in(base_url: str, email: str) -> bool:
    answer = requests.post(f"{base_url}/auth/login", json={"email": email, "password": PASSWORD}, timeout=10)
    return answer.status_code == 200


def test_one_address_is_printed_and_how_to_sign_in(folder: Path) -> None:
    process = parley("run", environ=plain_environment(PORT="0", DATA_DIR=str(folder / "data")), start_new_session=True)
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    text = "".join(lines)
    process.stdout.close()
    assert len(re.findall(r"http://\S+", text)) == 1
    assert "the first account is the administrator" in text
    assert text.rstrip().endswith("Parley has stopped.")
    assert (folder / "data" / "secret.json").read_text().split('"')[3] not in text


def test_a_second_start_goes_on_where_the_first_ended_and_nothing_runs_in_between(folder: Path) -> None:
    first = Stack.started(data_dir=folder / "data")
    assert register(first.base_url, "ada@example.org") == 200
    pids = everything_that_runs(first)
    assert first.stop() == 0
    assert [pid for pid in pids if system.is_alive(pid)] == []
    second = Stack.started(data_dir=folder / "data")
    try:
        assert can_sign_in(second.base_url, "ada@example.org")
    finally:
        second.stop()


def test_two_servers_on_different_ports_and_folders_do_not_meet(stack: Stack, folder: Path) -> None:
    other = Stack.started(data_dir=folder / "data")
    try:
        assert other.base_url != stack.base_url
        assert register(other.base_url, "only-there@example.org") == 200
        assert not can_sign_in(stack.base_url, "only-there@example.org")
    finally:
        other.stop()
    assert pings(stack.base_url)


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(stack: Stack) -> None:
    process = parley("run", environ=plain_environment(PORT="0", DATA_DIR=str(stack.data_dir)))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"A server already runs with the data folder {stack.data_dir}" in output
    assert pings(stack.base_url)


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


def test_after_kill_9_of_the_supervisor_nothing_stays_and_the_next_start_recovers(folder: Path) -> None:
    first = Stack.started(data_dir=folder / "data", DRAIN_S="3")
    assert register(first.base_url, "ada@example.org") == 200
    pids = everything_that_runs(first)
    os.kill(first.process.pid, signal.SIGKILL)
    eventually(lambda: not any(system.is_alive(pid) for pid in pids[1:]), within_s=30, what="the end of every process")
    first.stop()
    second = Stack.started(data_dir=folder / "data")
    try:
        assert can_sign_in(second.base_url, "ada@example.org")
    finally:
        second.stop()


def test_a_start_right_after_kill_9_gets_the_same_port_back(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    first = Stack.started(data_dir=folder / "data", PORT=port)
    os.kill(first.process.pid, signal.SIGKILL)
    second = Stack.started(data_dir=folder / "data", PORT=port)
    try:
        assert second.base_url == first.base_url
        assert eventually(lambda: pings(second.base_url))
    finally:
        second.stop()
        first.stop()


def test_a_stop_while_it_starts_leaves_nothing_behind(folder: Path) -> None:
    process = parley("run", environ=plain_environment(PORT="0", DATA_DIR=str(folder / "data")), start_new_session=True)
    eventually(lambda: (folder / "data" / "run" / "servers.json").exists(), what="the first server")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "ready:" not in output
    eventually(lambda: _is_unlocked(folder / "data" / "run" / "keeper.lock"), what="the end of the keeper")


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
    eventually(lambda: _is_unlocked(folder / "data" / "run" / "keeper.lock"), what="the end of the keeper")


def test_the_procfile_names_commands_that_exist() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    for line in lines:
        command = line.split(": ", 1)[1].split()
        assert command[0] == "parley"
        assert parley(*command[1:], "--help", environ=plain_environment()).wait(30) == 0


def _is_unlocked(path: Path) -> bool:
    import fcntl

    with path.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
