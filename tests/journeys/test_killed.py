"""The whole server, killed or told to stop at any moment: nothing stays behind, and the next start recovers."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from server.kit.embedded import system
from tests.journeys.outside import can_sign_in, everything_that_runs, is_unlocked, pings, register
from tests.stack import Stack, eventually, parley, plain_environment


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
    eventually(lambda: is_unlocked(folder / "data" / "run" / "keeper.lock"), what="the end of the keeper")
