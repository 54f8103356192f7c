"""What the embedded servers need from the operating system: an account that is not root's, passage to their files, a quick end."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Account",
    "EmbeddedFailed",
    "account_for",
    "command_line",
    "die_with_parent",
    "is_alive",
    "open_log",
    "open_tree",
    "own",
    "refuse_foreign",
    "run_folder",
    "socket_folder",
    "wheel_folder",
]

ACCOUNT_NAME = "parley"
PR_SET_PDEATHSIG = 1
# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
MAX_SOCKET_PATH = 103
MAX_LOG_BYTES = 8 * 2**20


class EmbeddedFailed(RuntimeError):
    """An embedded server cannot be used; the message says why and what helps."""


@dataclass(frozen=True)
class Account:
    """A system account by its numbers."""

    uid: int
    gid: int

    @property
    def spawn_options(self) -> dict[str, object]:
        """What makes `subprocess` start a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def wheel_folder(package: str) -> Path:
    """Where an installed package lies; it is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedFailed(f"The package {package} is not installed: `pip install -e .`, or set DATABASE_URL and REDIS_URL.")
    return Path(next(iter(found.submodule_search_locations)))


def account_for(folder: Path) -> Account | None:
    """The account that an embedded server with its data in `folder` runs as; None is the caller's own.

    PostgreSQL refuses to run as root. So root gives it the account that owns the folder, else `parley`, made here if need be.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return Account(folder.stat().st_uid, folder.stat().st_gid)
    if not _is_known(ACCOUNT_NAME) and shutil.which("useradd"):
        made = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
        subprocess.run(made, check=False, capture_output=True)
    entry = pwd.getpwnam(ACCOUNT_NAME if _is_known(ACCOUNT_NAME) else "nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _is_known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def own(folder: Path, account: Account | None) -> None:
    """Make `folder` (created if missing) private to the account, and passable on the way to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if account is None:
        return
    if folder.stat().st_uid != account.uid:
        os.chown(folder, account.uid, account.gid)
    open_passage(folder)


def open_passage(path: Path) -> None:
    """Let other accounts pass through (not list) the folders above `path`. Root only: it started a server as somebody else."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def open_tree(folder: Path) -> None:
    """Let other accounts read and run what is in `folder`, for an installation made with a narrow umask. Root only."""
    open_passage(folder)
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        wanted = mode | (0o005 if mode & 0o100 else 0o004)
        if wanted != mode:
            path.chmod(wanted)


def run_folder(data_dir: Path) -> Path:
    """The folder of locks and states of a data folder; created if missing."""
    folder = data_dir / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def socket_folder(data_dir: Path, socket_name: str) -> Path:
    """Where a unix socket of that name goes: under the data folder, or where that path is too long or odd, a temporary folder.

    The same data folder always gives the same answer.
    """
    near = data_dir / "run" / "db"
    if len(os.fsencode(near / socket_name)) <= MAX_SOCKET_PATH and re.fullmatch(r"[\w/.+-]+", str(near), re.ASCII):
        return near
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    far = Path(tempfile.gettempdir()) / f"parley-{os.geteuid()}-{digest}"
    if len(os.fsencode(far / socket_name)) > MAX_SOCKET_PATH:
        far = Path("/tmp") / far.name  # noqa: S108  (`refuse_foreign` looks whose it is)
    return far


def refuse_foreign(folder: Path, account: Account | None) -> None:
    """Raises EmbeddedFailed when somebody else has put a folder where ours goes (temporary folders are everybody's)."""
    if not folder.exists() and not folder.is_symlink():
        return
    allowed = {os.geteuid(), account.uid if account else os.geteuid()}
    if folder.is_symlink() or folder.lstat().st_uid not in allowed:
        raise EmbeddedFailed(f"{folder} belongs to somebody else; remove it, or use a shorter DATA_DIR.")


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """What a child runs before its program (`preexec_fn`), so that it gets `death_signal` when its parent dies.

    The parent is the *thread* that spawns: spawn from the main thread only. Without effect where the kernel does not offer it.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    parent = os.getpid()
    if not sys.platform.startswith("linux"):
        return _nothing
    libc = ctypes.CDLL(None, use_errno=True)

    def before_program() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_program


def _nothing() -> None:
    """Nothing to do on this system."""


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")


def command_line(pid: int) -> str:
    """The command of a process, words parted by spaces; empty when there is no such process."""
    proc = Path(f"/proc/{pid}/cmdline")
    if proc.parent.parent.joinpath("self").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listed = subprocess.run(["ps", "-p", str(pid), "-o", "command="], check=False, capture_output=True, text=True)
    return listed.stdout


def open_log(data_dir: Path, name: str) -> int:
    """A descriptor that appends to `log/<name>.log` of the data folder; a file grown too large is put aside as `.1`."""
    folder = data_dir / "log"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
