"""A backup: one file with the whole database and the secret that signs, readable by later versions of PostgreSQL too.

It is a tar with `manifest.json`, `database.dump` (pg_dump's custom format) and `secret.json`.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import io
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from server.kit.embedded import postgres, system
from server.kit.embedded.attachment import attach
from server.kit.migration import libpq_url, revision_of
from server.settings import Settings, load

__all__ = ["read", "write"]

FORMAT = 1
START_S = 60.0


def write(settings: Settings, file: Path) -> None:
    """Write the backup to `file` (mode 0600), whole or not at all. A data folder of an older PostgreSQL can be read as well."""
    with tempfile.TemporaryDirectory() as folder, _database(settings) as url:
        dump = Path(folder) / "database.dump"
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}", url)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w") as tar:
            _add(tar, "manifest.json", {"format": FORMAT, "created_at": dt.datetime.now(dt.UTC).isoformat()})
            _add(tar, "secret.json", {"secret_key": settings.secret_key})
            tar.add(dump, "database.dump")
        draft.replace(file)


def read(overrides: dict[str, Any], file: Path) -> Settings:
    """Bring the backup back; gives the settings it now fits. Nothing is overwritten: the place must be empty.

    overrides: settings by name, from the command line. Raises click.ClickException.
    """
    with tarfile.open(file) as tar:
        if _member(tar, "manifest.json").get("format") != FORMAT:
            raise click.ClickException(f"{file} was written by a newer version of the server.")
        data_dir = load(**overrides, secret_key="x" * 48).data_dir
        _put_secret(data_dir, _member(tar, "secret.json"))
        settings = load(**overrides)
        with tempfile.TemporaryDirectory() as folder, attach(settings) as attachment:
            tar.extract("database.dump", folder, filter="data")
            url = attachment.settings.database_url
            if revision_of(url) is not None:
                raise click.ClickException("The database there is not empty: nothing was restored.")
            dump = Path(folder) / "database.dump"
            _run(
                "pg_restore",
                "--no-owner",
                "--no-privileges",
                "--exit-on-error",
                "--single-transaction",
                f"--dbname={libpq_url(url)}",
                str(dump),
            )
    return settings


def _put_secret(data_dir: Path, secret: dict[str, Any]) -> None:
    path = data_dir / "secret.json"
    if path.exists() or (data_dir / "postgres").exists():
        raise click.ClickException(f"{data_dir} is not empty: nothing was restored. Name another DATA_DIR.")
    data_dir.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
        json.dump(secret, kept)


def _add(tar: tarfile.TarFile, name: str, values: dict[str, Any]) -> None:
    data = json.dumps(values).encode()
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
    tar.addfile(info, io.BytesIO(data))


def _member(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    try:
        source = tar.extractfile(name)
    except KeyError:
        source = None
    if source is None:
        raise click.ClickException("The file is no backup of this server.")
    values: dict[str, Any] = json.load(source)
    return values


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """The address of the database, which runs inside the block."""
    found = postgres.major_of(settings.data_dir)
    if settings.database_url or found in (None, postgres.MAJOR):
        with attach(settings) as attachment:
            yield libpq_url(attachment.settings.database_url)
        return
    assert found is not None
    with _older(settings.data_dir, found):
        yield libpq_url(postgres.address(settings.data_dir))


@contextmanager
def _older(data_dir: Path, major: int) -> Iterator[None]:
    """Run the PostgreSQL that made the data folder, for as long as the block lasts, in the keeper's place."""
    lock = os.open(system.run_folder(data_dir) / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException("Something runs with this data folder; stop it first.") from None
    child = postgres.spawn(data_dir, major=major)
    try:
        deadline = time.monotonic() + START_S
        while not postgres.is_ready(data_dir, child.pid):
            if child.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"PostgreSQL {major} does not start; see log/postgres.log in the data folder.")
            time.sleep(0.05)
        yield
    finally:
        child.send_signal(postgres.STOP_SIGNAL)
        child.wait()
        os.close(lock)


def _run(program: str, *words: str) -> None:
    done = subprocess.run([str(postgres.binary(program)), *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise click.ClickException(f"{program} failed: {done.stderr.strip()[-500:]}")
