"""The whole server as `parley run` starts it: alone, again, two side by side."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from server.kit.embedded import system
from tests.journeys.outside import can_sign_in, everything_that_runs, pings, register
from tests.stack import ROOT, Stack, parley, plain_environment


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


def test_the_procfile_names_commands_that_exist() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    for line in lines:
        command = line.split(": ", 1)[1].split()
        assert command[0] == "parley"
        assert parley(*command[1:], "--help", environ=plain_environment()).wait(30) == 0
