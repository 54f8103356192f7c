"""The embedded servers, as real processes in temporary folders."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from server.kit.embedded import postgres, system, valkey
from server.kit.embedded.attachment import Attachment, addressed, attach
from server.kit.embedded.system import EmbeddedFailed
from server.kit.migration import libpq_url
from server.settings import Settings, load
from tests.stack import eventually


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="parley-"))
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bare(data_dir: Path) -> Settings:
    return load({}, data_dir=data_dir)


def server_pids(data_dir: Path) -> dict[str, int]:
    state = json.loads((data_dir / "run" / "servers.json").read_text())
    return {"keeper": state["keeper"], **{name: state[name]["pid"] for name in ("database", "redis") if name in state}}


def is_answering(attachment: Attachment) -> bool:
    try:
        with psycopg.connect(libpq_url(attachment.settings.database_url), connect_timeout=2) as link:
            return link.execute("SELECT 1").fetchone() == (1,) and valkey.ping(attachment.settings.redis_url) == "PONG"
    except (psycopg.Error, OSError):
        return False


def test_what_was_written_is_there_after_the_servers_have_stopped_and_started(bare: Settings) -> None:
    with attach(bare) as attachment, psycopg.connect(libpq_url(attachment.settings.database_url)) as link:
        link.execute("CREATE TABLE kept AS SELECT 7 AS number")
    with attach(bare) as attachment, psycopg.connect(libpq_url(attachment.settings.database_url)) as link:
        assert link.execute("SELECT number FROM kept").fetchone() == (7,)


def test_both_servers_and_their_keeper_have_ended_when_the_last_has_let_go(bare: Settings) -> None:
    with attach(bare):
        pids = server_pids(bare.data_dir)
        assert set(pids) == {"keeper", "database", "redis"}
    assert not [name for name, pid in pids.items() if system.is_alive(pid)]


def test_the_servers_go_on_while_somebody_else_is_attached(bare: Settings) -> None:
    first = attach(bare)
    second = attach(bare)
    first.release()
    try:
        assert is_answering(second)
    finally:
        second.release()


def test_an_address_is_known_before_anything_runs_and_does_not_change(bare: Settings) -> None:
    expected = addressed(bare)
    with attach(bare) as attachment:
        assert attachment.settings.database_url == expected.database_url
        assert attachment.settings.redis_url == expected.redis_url


def test_two_data_folders_have_servers_of_their_own(bare: Settings) -> None:
    other = load({}, data_dir=bare.data_dir.parent / "other")
    with attach(bare) as one, attach(other) as two:
        assert one.settings.database_url != two.settings.database_url
        assert one.settings.redis_url != two.settings.redis_url
        assert set(server_pids(bare.data_dir).values()).isdisjoint(server_pids(other.data_dir).values())


@pytest.mark.parametrize("name", ["database", "redis"])
def test_a_server_that_is_killed_comes_back_at_the_same_address(bare: Settings, name: str) -> None:
    with attach(bare) as attachment:
        killed = server_pids(bare.data_dir)[name]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: server_pids(bare.data_dir).get(name, killed) != killed, what="another process")
        eventually(lambda: is_answering(attachment), what="an answer")


def test_no_server_outlives_a_killed_keeper_and_the_next_start_recovers(bare: Settings) -> None:
    attachment = attach(bare)
    pids = server_pids(bare.data_dir)
    os.kill(pids["keeper"], signal.SIGKILL)
    eventually(lambda: not any(system.is_alive(pid) for pid in pids.values()), what="the end of the servers")
    attachment.mend()
    try:
        eventually(lambda: is_answering(attachment), what="an answer")
    finally:
        attachment.release()


def test_nothing_is_left_after_the_only_process_that_was_attached_is_killed(bare: Settings) -> None:
    code = "import sys; from server.kit.embedded.attachment import attach; from server.settings import load; from pathlib import Path\n"
    code += "held = attach(load({}, data_dir=Path(sys.argv[1]))); print('attached', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(bare.data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "attached\n"
        pids = server_pids(bare.data_dir)
        holder.kill()
    eventually(lambda: not any(system.is_alive(pid) for pid in pids.values()), what="the end of the servers")


def test_many_who_attach_at_once_share_one_keeper(bare: Settings) -> None:
    code = "import sys; from server.kit.embedded.attachment import attach; from server.settings import load; from pathlib import Path\n"
    code += "held = attach(load({}, data_dir=Path(sys.argv[1]))); print(held.settings.redis_url, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(bare.data_dir)]
    holders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        addresses = {holder.stdout.readline() for holder in holders if holder.stdout}
        assert len(addresses) == 1
        assert "redis://" in addresses.pop()
    finally:
        for holder in holders:
            holder.communicate()
    eventually(lambda: not system.is_alive(server_pids(bare.data_dir)["keeper"]), what="the end of the keeper")


def test_a_folder_of_another_major_version_is_refused_and_the_way_out_is_named(bare: Settings) -> None:
    attach(bare).release()
    (postgres.folder(bare.data_dir) / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedFailed, match=r"made by PostgreSQL 16.*parley backup.*parley restore"):
        attach(bare)


def test_a_first_start_that_was_interrupted_is_begun_again(bare: Settings) -> None:
    draft = bare.data_dir / "postgres.draft"
    (draft / "base").mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    with attach(bare) as attachment:
        assert is_answering(attachment)


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(data_dir: Path) -> None:
    deep = data_dir / ("a" * 60) / ("b" * 60)
    with attach(load({}, data_dir=deep)) as attachment:
        assert is_answering(attachment)
        assert str(deep) not in attachment.settings.database_url
        elsewhere = system.socket_folder(deep, postgres.SOCKET_NAME)
        assert elsewhere.stat().st_mode & 0o077 == 0
    assert not elsewhere.exists()


def test_a_path_with_a_space_and_a_comma_works(data_dir: Path) -> None:
    with attach(load({}, data_dir=data_dir / "my data, all")) as attachment:
        assert is_answering(attachment)


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(bare: Settings) -> None:
    before = addressed(bare).redis_url
    port = int(before.rsplit(":", 1)[1].split("/")[0])
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", port))
        intruder.listen()
        with attach(bare) as attachment:
            assert attachment.settings.redis_url != before
            assert is_answering(attachment)


def test_a_database_of_the_callers_own_is_used_as_it_is(bare: Settings) -> None:
    mine = dataclasses.replace(bare, database_url="postgresql+psycopg://me@db/mine")
    with attach(mine) as attachment:
        assert attachment.settings.database_url == mine.database_url
        assert set(server_pids(bare.data_dir)) == {"keeper", "redis"}


def test_a_redis_that_does_not_answer_is_replaced_and_that_is_said(bare: Settings) -> None:
    silent = dataclasses.replace(bare, redis_url=f"redis://127.0.0.1:{_closed_port()}/0")
    with attach(silent) as attachment:
        assert attachment.settings.redis_fallback
        assert valkey.ping(attachment.settings.redis_url) == "PONG"


def test_a_redis_that_answers_is_used(bare: Settings) -> None:
    with attach(load({}, data_dir=bare.data_dir.parent / "theirs")) as theirs:
        attachment = attach(dataclasses.replace(bare, redis_url=theirs.settings.redis_url))
        assert attachment.settings.redis_url == theirs.settings.redis_url
        assert not attachment.settings.redis_fallback
        attachment.release()


def test_a_redis_that_refuses_the_password_is_an_error_and_not_replaced(bare: Settings) -> None:
    with attach(load({}, data_dir=bare.data_dir.parent / "theirs")) as theirs:
        wrong = theirs.settings.redis_url.replace("redis://:", "redis://:not")
        with pytest.raises(EmbeddedFailed, match="refuses"):
            attach(dataclasses.replace(bare, redis_url=wrong))


def test_the_memory_backend_is_the_embedded_server_whatever_the_address_says(bare: Settings) -> None:
    chosen = dataclasses.replace(bare, streaming_backend="memory", redis_url="redis://example.invalid/0")
    with attach(chosen) as attachment:
        assert attachment.settings.redis_fallback
        assert valkey.ping(attachment.settings.redis_url) == "PONG"


def test_secrets_and_data_are_readable_by_their_owner_alone(bare: Settings) -> None:
    with attach(bare):
        for path in ("secret.json", "run/redis.json", "run/servers.json", "postgres", "redis", "run/db"):
            assert (bare.data_dir / path).stat().st_mode & 0o066 == 0, path


def test_what_was_accepted_is_on_disk_before_the_answer(bare: Settings) -> None:
    with attach(bare) as attachment, psycopg.connect(libpq_url(attachment.settings.database_url)) as link:
        assert link.execute("SHOW fsync").fetchone() == ("on",)
        assert link.execute("SHOW synchronous_commit").fetchone() == ("on",)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
