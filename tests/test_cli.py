"""The command line: its refusals in one line, and what an operator does by hand."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import parley, plain_environment

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="parley-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def ran(*words: str, data_dir: Path, text: str = "", **environ: str) -> tuple[int, str]:
    process = parley(*words, environ=plain_environment(DATA_DIR=str(data_dir), **environ), stdin=subprocess.PIPE)
    output, _ = process.communicate(text, timeout=100)
    return process.returncode, output


@pytest.fixture(scope="module")
def migrated(folder: Path) -> Path:
    """A data folder with a migrated database and one account, made by the command line alone."""
    data_dir = folder / "data"
    assert ran("migrate", data_dir=data_dir)[0] == 0
    code, output = ran("user", EMAIL, "--admin", "--password-stdin", data_dir=data_dir, text=f"{PASSWORD}\n")
    assert code == 0, output
    return data_dir


def test_help_lists_every_command() -> None:
    code, output = ran("--help", data_dir=Path("unused"))
    assert code == 0
    for command in ("run", "web", "worker", "scheduler", "migrate", "user", "key", "doctor", "backup", "restore", "settings"):
        assert f"  {command} " in output


def test_settings_that_are_refused_are_one_line_and_exit_code_1(folder: Path) -> None:
    code, output = ran("run", data_dir=folder / "refused", HOST="0.0.0.0", AUTH="open")
    assert (code, output) == (1, "Error: The settings are refused: AUTH=open is for loopback only\n")


def test_a_port_that_is_taken_is_said_before_anything_is_started(folder: Path) -> None:
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        port = str(intruder.getsockname()[1])
        code, output = ran("run", data_dir=folder / "taken", PORT=port)
    assert code == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in output
    assert not (folder / "taken" / "postgres").exists()


def test_migrating_twice_changes_nothing(migrated: Path) -> None:
    assert ran("migrate", data_dir=migrated) == (0, "The database is at the newest revision.\n")


def test_an_account_that_exists_is_refused(migrated: Path) -> None:
    code, output = ran("user", EMAIL.upper(), "--password-stdin", data_dir=migrated, text=f"{PASSWORD}\n")
    assert (code, output) == (1, "Error: User already exists\n")


def test_a_key_is_printed_alone_so_that_a_script_can_take_it(migrated: Path) -> None:
    code, output = ran("key", EMAIL, data_dir=migrated)
    assert code == 0
    assert len(output.split()) == 1


def test_a_key_for_nobody_is_refused(migrated: Path) -> None:
    assert ran("key", "nobody@example.org", data_dir=migrated) == (1, "Error: There is no account nobody@example.org.\n")


def test_the_doctor_finds_a_migrated_folder_well(migrated: Path) -> None:
    code, output = ran("doctor", data_dir=migrated, PORT="0")
    assert code == 0, output
    assert "FAIL" not in output


def test_the_doctor_says_what_to_do_about_a_taken_port_and_a_missing_agents_file(migrated: Path) -> None:
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        code, output = ran("doctor", data_dir=migrated, PORT=str(intruder.getsockname()[1]), AGENTS_CONFIG="nowhere.json")
    assert code == 1
    assert "set another PORT" in output
    assert "AGENTS_CONFIG=nowhere.json does not exist" in output


def test_a_backup_brings_accounts_and_secret_into_an_empty_folder(migrated: Path, folder: Path) -> None:
    file = folder / "backup.tar"
    assert ran("backup", str(file), data_dir=migrated)[0] == 0
    code, output = ran("restore", str(file), data_dir=folder / "restored")
    assert code == 0, output
    assert json.loads((migrated / "secret.json").read_text()) == json.loads((folder / "restored" / "secret.json").read_text())
    assert ran("key", EMAIL, data_dir=folder / "restored")[0] == 0


def test_a_backup_is_readable_by_its_owner_alone(migrated: Path, folder: Path) -> None:
    file = folder / "private.tar"
    ran("backup", str(file), data_dir=migrated)
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as tar:
        assert set(tar.getnames()) == {"manifest.json", "database.dump", "secret.json"}


def test_a_backup_is_never_restored_over_something(migrated: Path, folder: Path) -> None:
    file = folder / "again.tar"
    ran("backup", str(file), data_dir=migrated)
    code, output = ran("restore", str(file), data_dir=migrated)
    assert code == 1
    assert "is not empty: nothing was restored" in output


def test_a_file_that_is_no_backup_is_refused(folder: Path) -> None:
    file = folder / "other.tar"
    with tarfile.open(file, "w") as tar:
        tar.add(__file__, "something.py")
    code, output = ran("restore", str(file), data_dir=folder / "nothing")
    assert (code, output) == (1, "Error: The file is no backup of this server.\n")


def test_the_web_process_never_imports_an_agents_library(folder: Path) -> None:
    code = "import wsgi, sys; assert not [m for m in sys.modules if m.startswith(('langchain','langgraph'))]"
    environ = plain_environment(DATA_DIR=str(folder / "web"))
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=60)


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_the_app_can_be_imported_by_any_server_in_every_mode(folder: Path, mode: str) -> None:
    environ = plain_environment(DATA_DIR=str(folder / "web"), ASYNC_MODE=mode)
    code = "import wsgi; print(wsgi.app.name)"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "server\n"), done.stderr
    assert "Warning" not in done.stderr


def test_the_command_celery_finds_its_app_and_every_task(migrated: Path) -> None:
    code = "from celery.app.utils import find_app; found = find_app('celery_worker'); print(found.main, 'runs.execute' in found.tasks)"
    environ = plain_environment(DATA_DIR=str(migrated))
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=100)
    assert done.stdout == "parley True\n", done.stderr


def test_the_supervisor_stays_small(folder: Path) -> None:
    large = ("celery", "flask", "psycopg", "redis", "sqlalchemy")
    code = f"import server.cli, server.supervisor, sys; print([name for name in {large} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=plain_environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers under another account")
def test_the_embedded_servers_never_run_as_root(folder: Path) -> None:
    from server.kit.embedded.attachment import attach
    from server.settings import load

    with attach(load({}, data_dir=folder / "account")):
        state = json.loads((folder / "account" / "run" / "servers.json").read_text())
        assert all(Path(f"/proc/{state[name]['pid']}").stat().st_uid != 0 for name in ("database", "redis"))
