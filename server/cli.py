"""The command `parley`: the whole server, each of its processes alone, and what an operator does by hand.

Every command imports what it needs when it runs: the supervisor stays small and nothing waits for what it does not use.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.kit.embedded.attachment import attach
from server.kit.embedded.system import EmbeddedFailed
from server.kit.process import bind, say_ready
from server.settings import Settings, UnsafeSettings, export, load

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["main"]

# Threads that take runs over from the queue; a run itself waits on the worker's loop and holds none.
WORKER_THREADS = 16


class Parley(click.Group):
    """A group whose expected failures are one line on standard error, and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UnsafeSettings as error:
            raise click.ClickException(f"The settings are refused: {error}") from None
        except EmbeddedFailed as error:
            raise click.ClickException(str(error)) from None
        except PermissionError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}. Choose another DATA_DIR, or the user that owns it.") from None


@click.group(cls=Parley, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", help="Address to listen on (HOST).")
@click.option("--port", type=int, help="Port to listen on (PORT).")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of all data (DATA_DIR).")
@click.pass_context
def main(ctx: click.Context, **options: object) -> None:
    """Parley, a self-hosted agent server. Settings come from the environment: see `parley settings`."""
    ctx.obj = {name: value for name, value in options.items() if value is not None}


def loaded(ctx: click.Context) -> Settings:
    """The settings of this command, checked."""
    return load(**ctx.obj)


ready_fd = click.option("--ready-fd", type=int, hidden=True)


# -- processes ---------------------------------------------------------------------------------------------------------


@main.command()
@click.option("-v", "--verbose", is_flag=True, help="Write the logs of all processes here instead of into files.")
@click.pass_context
def run(ctx: click.Context, verbose: bool) -> None:
    """The whole server in the foreground: database, Redis, web, worker and scheduler."""
    settings = loaded(ctx)
    _supervise(settings, {"web": settings.web_processes, "worker": settings.worker_processes, "scheduler": 1}, verbose=verbose)


def _supervise(settings: Settings, counts: dict[str, int], *, verbose: bool) -> None:
    from server.supervisor import StartFailed, Supervisor

    def say(text: str) -> None:
        click.echo(text)
        sys.stdout.flush()

    try:
        code = Supervisor(settings, counts, verbose=verbose, say=say).run()
    except StartFailed as error:
        raise click.ClickException(str(error)) from None
    sys.exit(code)


@main.command()
@click.option("--listen-fd", type=int, hidden=True)
@ready_fd
@click.pass_context
def web(ctx: click.Context, listen_fd: int | None, ready_fd: int | None) -> None:
    """One web process. With ENABLE_WORKERS=false it has a worker of its own as a child."""
    settings = loaded(ctx)
    if not settings.enable_workers and listen_fd is None:
        _supervise(settings, {"web": 1, "worker": 1}, verbose=True)
    listener = _listener(settings, listen_fd)
    with _attached(settings, ready_fd=ready_fd, is_service=True):
        import wsgi

        wsgi.serve(listener, on_ready=lambda: say_ready(ready_fd))


def _listener(settings: Settings, listen_fd: int | None) -> socket.socket:
    if listen_fd is not None:
        return socket.socket(fileno=listen_fd)
    try:
        return bind(settings.host, settings.port)
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Set another PORT.") from None


@contextlib.contextmanager
def _attached(settings: Settings, *, ready_fd: int | None = None, is_service: bool = False) -> Iterator[Settings]:
    """Settings with addresses that answer, also in the environment of this process.

    ready_fd: given by a supervisor, which has settled the addresses for all its children; they are taken as they are.
    is_service: a SIGTERM, until the service handles it itself, is an orderly end.
    """
    if is_service:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if ready_fd is not None:
        yield settings
        return
    with attach(settings) as attachment:
        export(attachment.settings)
        yield attachment.settings


@main.command()
@ready_fd
@click.pass_context
def worker(ctx: click.Context, ready_fd: int | None) -> None:
    """One worker process: it takes runs from the queue and carries them out."""
    with _attached(loaded(ctx), ready_fd=ready_fd, is_service=True):
        from celery.signals import worker_ready

        import celery_worker

        worker_ready.connect(lambda **_: say_ready(ready_fd), weak=False)
        celery_worker.celery.worker_main(celery_worker.options(WORKER_THREADS))


@main.command()
@ready_fd
@click.pass_context
def scheduler(ctx: click.Context, ready_fd: int | None) -> None:
    """The scheduler: crons, and the sweep that repairs what a crash left. Several may run."""
    stop = threading.Event()
    with _app_in_context(ctx, ready_fd=ready_fd, is_service=True) as app:
        from server.app import chores
        from server.runs.scheduler import run_forever

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        say_ready(ready_fd)
        run_forever(app, stop, chores())


@main.command()
@ready_fd
@click.pass_context
def migrate(ctx: click.Context, ready_fd: int | None) -> None:
    """Bring the database to the newest revision."""
    with _attached(loaded(ctx), ready_fd=ready_fd) as settings:
        from server.kit import migration

        if migration.newest() is not None and migration.revision_of(settings.database_url) == migration.newest():
            click.echo("The database is at the newest revision.")
            return
        from server.app import create_app

        with create_app(replace(settings, log_level="warning"), doors=False).app_context():
            migration.upgrade(settings.database_url)
        click.echo("The database is at the newest revision now.")


@main.command()
@click.argument("message")
@click.pass_context
def revision(ctx: click.Context, message: str) -> None:
    """Write a migration from what the models have and the database lacks (for who changes the models)."""
    with _app_in_context(ctx) as app:
        from server.kit import migration

        migration.upgrade(app.config["SETTINGS"].database_url)
        migration.write(message)


# -- by hand -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _app_in_context(ctx: click.Context, *, ready_fd: int | None = None, is_service: bool = False) -> Iterator[Flask]:
    """The app without its doors, in its context, over addresses that answer; what is done by hand logs its troubles alone."""
    with _attached(loaded(ctx), ready_fd=ready_fd, is_service=is_service) as settings:
        from server.app import create_app

        app = create_app(settings if is_service else replace(settings, log_level="warning"), doors=False)
        with app.app_context():
            yield app


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    from server.kit.errors import Refusal

    try:
        yield
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from None


@main.command()
@click.argument("email")
@click.option("--admin", is_flag=True, help="Make it an administrator.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
@click.pass_context
def user(ctx: click.Context, email: str, admin: bool, password_stdin: bool) -> None:
    """Make an account."""
    password = sys.stdin.readline().rstrip("\n") if password_stdin else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with _app_in_context(ctx), _refusals_told():
        from server.accounts import actions

        made = actions.register(email, password, is_admin=admin)
        click.echo(f"Made {'the administrator' if made.is_admin else 'the account'} {made.email}.")


@main.command()
@click.argument("email")
@click.option("--name", default="command line", show_default=True, help="What the key is for.")
@click.pass_context
def key(ctx: click.Context, email: str, name: str) -> None:
    """Make an API key of an account and print it, this once."""
    with _app_in_context(ctx), _refusals_told():
        from server.accounts import actions
        from server.accounts.models import user_by_email

        owner = user_by_email(email)
        if owner is None:
            raise click.ClickException(f"There is no account {email}.")
        _, plaintext = actions.create_api_key(owner, name)
        click.echo(plaintext)


@main.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Look whether everything that the server needs is there, and say what to do where it is not."""
    from server.doctor import examine

    findings = list(examine(ctx.obj))
    for finding in findings:
        mark = "ok  " if finding.is_well else "FAIL"
        click.echo(f"{mark}  {finding.subject}: {finding.text}")
    sys.exit(0 if all(finding.is_well for finding in findings) else 1)


@main.command()
@click.option("--markdown", is_flag=True, help="As the page docs/settings.md.")
@click.pass_context
def settings(ctx: click.Context, markdown: bool) -> None:
    """Every setting: its name, its value in force, its meaning."""
    from server.settings_page import page, values

    click.echo(page() if markdown else values(loaded(ctx)), nl=False)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Write the database and the secret to FILE; the server may run meanwhile."""
    from server.backup import write

    write(loaded(ctx), file)
    click.echo(f"Wrote {file}: keep it secret, it holds the key that signs.")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_context
def restore(ctx: click.Context, file: Path) -> None:
    """Bring a backup back, into an empty DATA_DIR (or an empty database at DATABASE_URL)."""
    from server.backup import read

    settings = read(ctx.obj, file)
    subprocess.run([sys.executable, "-m", "server.cli", "--data-dir", str(settings.data_dir), "migrate"], check=True)


if __name__ == "__main__":
    main()
