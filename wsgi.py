"""The web process: `app` for any WSGI server, and `serve` for the server that fits the setting `ASYNC_MODE`.

The standard library is made green here, before anything else is imported, and nowhere else; nothing else imports eventlet or gevent.
"""

from __future__ import annotations

import os
import warnings

from server.settings import Settings, load

settings = load()
IS_GREEN = settings.async_mode in ("eventlet", "gevent")

if settings.async_mode == "eventlet":
    warnings.filterwarnings("ignore", message="(?s).*Eventlet is deprecated")
    # Names are looked up as the system does; eventlet's own way knows less of it and takes 10 MB.
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    import eventlet

    eventlet.monkey_patch()
elif settings.async_mode == "gevent":
    from gevent import monkey

    monkey.patch_all()
if IS_GREEN:
    # Has to be there before psycopg is imported: its own way of waiting stops a green process.
    os.environ["PSYCOPG_WAIT_FUNC"] = "wait_selector"

import contextlib  # noqa: E402
import logging  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable, Iterator  # noqa: E402
from typing import TYPE_CHECKING, Any, Protocol  # noqa: E402

from server.app import create_app  # noqa: E402
from server.kit import offload  # noqa: E402
from server.kit.embedded.attachment import addressed, attach  # noqa: E402

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["app", "serve"]

log = logging.getLogger("parley.web")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

MAX_CONNECTIONS = 20_000
MAX_FILES = 65_536
# A connection that moves no byte for so long in the middle of a request or an answer is given up.
SOCKET_TIMEOUT_S = 60
KEEP_ALIVE_S = 75
TICK_S = 0.1
# Requests that were under way on open connections when the stop came still get their answer, with `Connection: close`.
LAST_ORDERS_S = 0.5
# Each password that is hashed at the same time takes 64 MB.
OFFLOAD_THREADS = 2


class InFlight:
    """A WSGI app around the app that knows how many answers are still owed; open streams and sockets are not counted."""

    def __init__(self, wrapped: WsgiApp) -> None:
        self.wrapped = wrapped
        self.owed = 0
        self.is_closing = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            _lift_timeout(environ)
            return iter(self.wrapped(environ, start_response))
        if environ.get("PATH_INFO", "").startswith("/socket.io"):
            return iter(self.wrapped(environ, self._closing(start_response)))
        return self._answer(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        counted = [True]
        self.owed += 1

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if counted[0] and any(name.lower() == "content-type" and value.startswith("text/event-stream") for name, value in headers):
                counted[0] = False
                self.owed -= 1
            return self._closing(start_response)(status, headers, *rest)

        try:
            parts = self.wrapped(environ, start)
            try:
                yield from parts
            finally:
                close = getattr(parts, "close", None)
                if close:
                    close()
        finally:
            if counted[0]:
                self.owed -= 1

    def _closing(self, start_response: StartResponse) -> StartResponse:
        if not self.is_closing:
            return start_response

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("Connection", "close")], *rest)

        return start


def _lift_timeout(environ: Environ) -> None:
    """Let a WebSocket be silent for as long as it likes: its own pings tell whether somebody is there."""
    source = environ.get("eventlet.input")
    if source is not None:
        source.get_socket().settimeout(None)


class Server(Protocol):
    """What serves connections of a listener in the background."""

    def stop_accepting(self) -> None:
        """From now on a new connection goes to another process, or nowhere."""


class EventletServer:
    """Connections served by green threads of eventlet."""

    def __init__(self, site: WsgiApp, listener: socket.socket) -> None:
        import eventlet.wsgi
        from eventlet.greenio import GreenSocket

        self.listener = GreenSocket(listener)
        self.pool = eventlet.GreenPool(MAX_CONNECTIONS)
        self.server = eventlet.wsgi.Server(
            listener,
            listener.getsockname(),
            site,
            log=logging.getLogger("parley.web.connections"),
            minimum_chunk_size=0,
            keepalive=KEEP_ALIVE_S,
            log_output=False,
            debug=False,
            socket_timeout=SOCKET_TIMEOUT_S,
        )
        self.acceptor = eventlet.spawn(self._accept)

    def _accept(self) -> None:
        while True:
            try:
                link, address = self.listener.accept()
            except OSError as error:
                log.warning("web.accept_failed", extra={"facts": {"errno": error.errno}})
                time.sleep(TICK_S)
                continue
            link.settimeout(SOCKET_TIMEOUT_S)
            self.pool.spawn_n(self._talk, link, address)

    def _talk(self, link: socket.socket, address: Any) -> None:
        try:
            self.server.process_request([address, link, "idle"])
        finally:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def stop_accepting(self) -> None:
        self.acceptor.kill()
        self.listener.close()
        self.server.keepalive = False


class GeventServer:
    """Connections served by green threads of gevent."""

    def __init__(self, site: WsgiApp, listener: socket.socket) -> None:
        from gevent.pool import Pool
        from gevent.pywsgi import WSGIServer

        green = socket.socket(fileno=listener.detach())
        errors = logging.getLogger("parley.web.connections")
        self.server = WSGIServer(green, site, log=None, error_log=errors, spawn=Pool(MAX_CONNECTIONS))
        self.server.start()

    def stop_accepting(self) -> None:
        self.server.stop_accepting()
        self.server.close()


class ThreadServer:
    """Connections served by a thread each."""

    def __init__(self, site: WsgiApp, listener: socket.socket) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        class QuietHandler(WSGIRequestHandler):
            """Keeps connections open between requests; the app writes the request line of the log."""

            protocol_version = "HTTP/1.1"
            timeout = KEEP_ALIVE_S

            def version_string(self) -> str:
                """What the header `Server` says."""
                return "parley"

            def log_request(self, *_: Any, **__: Any) -> None:
                """Nothing: the app has said it."""

        host, port = listener.getsockname()[:2]
        self.server = make_server(host, port, site, threaded=True, request_handler=QuietHandler, fd=listener.fileno())
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        listener.close()

    def stop_accepting(self) -> None:
        self.server.shutdown()
        self.server.socket.close()


SERVERS: dict[str, Callable[[WsgiApp, socket.socket], Server]] = {
    "eventlet": EventletServer,
    "gevent": GeventServer,
    "threading": ThreadServer,
}


def serve(listener: socket.socket, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve the app on the listener until SIGTERM or SIGINT, then give the answers that are owed, for at most DRAIN_S.

    Streams and sockets that are open at the end are cut: their clients come back by number.
    """
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.append(number))
    _raise_file_limit()
    site = InFlight(app)
    # A connection that was announced on a shared listener may have gone to another process: accept must not hold everybody up.
    if IS_GREEN:
        listener.setblocking(False)
    server = SERVERS[settings.async_mode](site, listener)
    on_ready()
    log.info("web.ready", extra={"facts": {"async_mode": settings.async_mode}})
    while not stop:
        time.sleep(TICK_S)
    site.is_closing = True
    server.stop_accepting()
    last_moment = time.monotonic() + settings.drain_s
    time.sleep(LAST_ORDERS_S)
    while site.owed and time.monotonic() < last_moment:
        time.sleep(TICK_S)
    log.info("web.stopped", extra={"facts": {"unanswered": site.owed}})
    logging.shutdown()
    os._exit(0)


def _raise_file_limit() -> None:
    """Every connection is a file: take as many as the system allows, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _install_offload() -> None:
    """Have long computations of a green process done by plain threads."""
    if settings.async_mode == "eventlet":
        from eventlet import tpool

        tpool.set_num_threads(OFFLOAD_THREADS)
        offload.install(tpool.execute)
    elif settings.async_mode == "gevent":
        from gevent.threadpool import ThreadPool

        pool = ThreadPool(OFFLOAD_THREADS)
        offload.install(lambda function, *args: pool.apply(function, args))


def _make_app(settings: Settings) -> Flask:
    """The app. Without addresses in the settings it uses embedded servers, which the first request brings up."""
    made = create_app(addressed(settings))
    if not settings.database_url or not settings.redis_url:
        first = threading.Lock()
        held: list[object] = []

        @made.before_request
        def attach_once() -> None:
            if not held:
                with first:
                    if not held:
                        held.append(attach(settings))

    return made


_install_offload()
app = _make_app(settings)
