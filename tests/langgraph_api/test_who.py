"""Who may do what: this server's own sign-in, and an operator's handlers asked of a real worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from celery import signals
from celery.contrib.testing.worker import start_worker
from flask import Flask
from marshmallow import EXCLUDE, Schema, fields

from server.accounts import actions as accounts
from server.accounts.models import User, first_user
from server.accounts.throttle import Throttle
from server.accounts.who import me
from server.agents.catalogue import Catalogue
from server.engine import graphs
from server.engine.job import AgentSource
from server.kit import queue, redis
from server.kit.asking import ask
from server.kit.db import db
from server.kit.errors import Invalid, Refusal, Unauthenticated
from server.kit.http import body, query, sent
from server.kit.queue import celery
from server.langgraph_api import handlers, tasks, who
from server.langgraph_api.who import allowed
from server.settings import Settings
from tests.accounts.factories import bearer, new_person

AUTH = """
from langgraph_sdk import Auth
auth = Auth()
seen = []
@auth.authenticate
async def authenticate(authorization, headers):
    seen.append(authorization)
    if not authorization:
        raise Auth.exceptions.HTTPException(status_code=401, detail="no token")
    return {"identity": authorization.removeprefix("Bearer "), "permissions": ["p"], "team": "red"}
@auth.on
async def on(ctx, value):
    if ctx.user.identity == "denied":
        return False
    if ctx.user.identity == "busy":
        raise Auth.exceptions.HTTPException(status_code=409, detail="not now")
    if ctx.resource == "store":
        if ctx.user.identity != "nobody":
            value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))
        return None
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
"""
OWN = AUTH.replace("@auth.authenticate", "")


class Anything(Schema):
    """A request with metadata."""

    class Meta:
        unknown = EXCLUDE

    metadata = fields.Dict(load_default=dict)
    namespace = fields.Raw(load_default=None)


@pytest.fixture
def worker(app: Flask, settings: Settings) -> Iterator[None]:
    """A worker of the fast lane with a host, in a thread of this process; Celery's signals begin and end the host."""
    # Another test may have given the queue of this process another app.
    redis.configure(settings.redis_url)
    queue.configure(app, settings)
    with start_worker(celery, pool="threads", concurrency=2, perform_ping_check=False, queues=["fast"]):
        yield
    signals.worker_shutdown.send(sender=None)
    graphs.forget()


Install = Callable[..., Path]


@pytest.fixture
def install(app: Flask, settings: Settings, tmp_path: Path) -> Iterator[Install]:
    """Give the app a `langgraph.json` with these handlers."""
    before = app.extensions.get("catalogue")

    def installed(code: str, **auth: Any) -> Path:
        (tmp_path / "agent.py").write_text("graph = None")
        (tmp_path / "auth.py").write_text(code)
        manifest = {"graphs": {"mine": "./agent.py:graph"}, "auth": {"path": "./auth.py:auth", **auth}}
        (tmp_path / "langgraph.json").write_text(json.dumps(manifest))
        chosen = Settings(agents_config=str(tmp_path / "langgraph.json"))
        app.extensions["catalogue"] = Catalogue(chosen, look_every_s=0)
        return tmp_path / "auth.py"

    yield installed
    app.extensions["catalogue"] = before
    app.extensions.pop("langgraph_handlers", None)


@contextmanager
def asking(app: Flask, identity: str | None, method: str = "POST", path: str = "/threads", **request: Any) -> Iterator[None]:
    headers = {"Authorization": f"Bearer {identity}"} if identity else {}
    with app.test_request_context(path, method=method, headers={**headers, **request.pop("headers", {})}, **request):
        yield


@allowed("threads", "create")
@body(Anything, optional=True)
def create(values: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """What reached the view, who asked, and what rows have to contain."""
    return values["metadata"], me().email, who.filters()


@allowed("threads", "read")
def read(**_: Any) -> tuple[str, Any]:
    """Who asked, and what they may see."""
    return me().email, who.filters()


@allowed("store", "get")
@query(Anything)
def get_item(values: dict[str, Any]) -> Any:
    """The namespace that is looked in."""
    return values["namespace"]


@allowed("store", "search")
@body(Anything)
def search_items(values: dict[str, Any]) -> Any:
    """The namespace that is looked in."""
    return sent()


@allowed("threads", "create_run")
def batch() -> bytes:
    """What is to be run."""
    return sent()


def refusal(app: Flask, view: Callable[[], Any], identity: str | None, **request: Any) -> tuple[int, str, str]:
    with asking(app, identity, **request), pytest.raises(Refusal) as refused:
        view()
    return refused.value.status, refused.value.code, refused.value.message


# -- without handlers --------------------------------------------------------------------------------------------------


def test_without_handlers_this_servers_own_credentials_count(app: Flask) -> None:
    anna = new_person(app, "anna@example.com")
    with app.test_request_context("/threads", method="POST", json={"metadata": {"a": 1}}, headers=bearer(anna.access)):
        assert create() == ({"a": 1}, "anna@example.com", None)
        assert who.auth_user() is None
        assert who.auth_configurable() == {
            "langgraph_auth_user": None,
            "langgraph_auth_user_id": "",
            "langgraph_auth_permissions": [],
        }
        assert who.passes({"owner": "anybody"})
    with asking(app, None), pytest.raises(Unauthenticated):
        create()


# -- who ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_a_handler_says_who_it_is_and_each_identity_has_an_account_of_its_own(app: Flask, install: Install) -> None:
    install(AUTH)
    owners = []
    for identity in ("ann", "bob", "ann"):
        with asking(app, identity, json={}):
            assert create()[1] == identity
            owners.append(me().id)
            assert who.auth_configurable()["langgraph_auth_user_id"] == identity
            assert who.auth_configurable()["langgraph_auth_permissions"] == ["p"]
            assert (who.auth_user() or {})["team"] == "red"
    assert owners[0] == owners[2] != owners[1]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (None, (401, "unauthenticated", "no token")),
        ("denied", (403, "forbidden", "Forbidden")),
        ("busy", (409, "conflict", "not now")),
    ],
)
def test_whom_a_handler_turns_away_is_told_in_its_words(app: Flask, install: Install, identity: str | None, expected: Any) -> None:
    install(AUTH)
    assert refusal(app, create, identity, json={}) == expected


@pytest.mark.usefixtures("worker")
def test_with_a_handler_that_authenticates_this_servers_own_keys_open_nothing(app: Flask, install: Install) -> None:
    anna = new_person(app, "anna@example.com")
    install(AUTH.replace('authorization.removeprefix("Bearer ")', '"stranger"'))
    with app.test_request_context("/threads", method="POST", json={}, headers=bearer(anna.access)):
        assert create()[1] == "stranger"
        assert me().email != "anna@example.com"


@pytest.mark.usefixtures("worker")
def test_where_no_handler_authenticates_this_servers_own_sign_in_does(app: Flask, install: Install) -> None:
    anna = new_person(app, "anna@example.com")
    install(OWN)
    assert refusal(app, create, None, json={})[0] == 401
    with app.test_request_context("/threads", method="POST", json={}, headers=bearer(anna.access)):
        metadata, email, must = create()
        assert (email, must) == ("anna@example.com", {"owner": str(me().id)})
        assert metadata == must


@pytest.mark.usefixtures("worker")
def test_an_identity_that_is_somebodys_address_is_not_that_somebody(app: Flask, install: Install) -> None:
    anna = new_person(app, "anna@example.com")
    install(AUTH)
    with asking(app, "anna@example.com", json={}):
        create()
        assert str(me().id) != anna.user_id


@pytest.mark.usefixtures("worker")
def test_nobody_signs_in_to_such_an_account_and_it_is_never_the_first(app: Flask, settings: Settings, install: Install) -> None:
    install(AUTH)
    with asking(app, "ann", json={}):
        create()
    assert first_user() is None
    [account] = db.session.scalars(sa.select(User)).all()
    assert not account.is_admin
    for password in ("", "!", "ann"):
        with pytest.raises(accounts.IncorrectPassword):
            accounts.sign_in(account.email_key, password, guard=Throttle.of(settings, "127.0.0.1"), life_s=60)


@pytest.mark.usefixtures("worker")
def test_handlers_that_do_not_answer_in_time_let_nobody_in(app: Flask, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "ANSWER_S", 0.05)
    slow = "import asyncio\n    await asyncio.Event().wait()\n    seen.append"
    install(AUTH.replace("seen.append", slow))
    with asking(app, "ann", json={}), pytest.raises(Refusal) as refused:
        create()
    assert (refused.value.status, refused.value.code) == (503, "unavailable")


@pytest.mark.usefixtures("worker")
def test_handlers_that_are_broken_let_nobody_in(app: Flask, install: Install) -> None:
    install("auth = (")
    assert refusal(app, create, "ann", json={})[:2] == (500, "internal")


# -- what --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_what_a_handler_adds_reaches_the_view_and_its_filter_the_query(app: Flask, install: Install) -> None:
    install(AUTH)
    with asking(app, "ann", json={"metadata": {"a": 1, "owner": "bob"}}):
        assert create() == ({"a": 1, "owner": "ann"}, "ann", {"owner": "ann"})
        assert who.passes({"owner": "ann"})
        assert not who.passes({"owner": "bob"})
        assert not who.passes(None)


@pytest.mark.usefixtures("worker")
def test_a_request_without_a_body_gets_what_a_handler_adds(app: Flask, install: Install) -> None:
    install(AUTH)
    with asking(app, "ann"):
        assert create()[0] == {"owner": "ann"}


@pytest.mark.usefixtures("worker")
def test_a_namespace_in_the_query_is_moved(app: Flask, install: Install) -> None:
    install(AUTH)
    with asking(app, "ann", "GET", "/store/items?namespace=notes.work&key=k"):
        assert get_item() == "ann.notes.work"


@pytest.mark.usefixtures("worker")
def test_a_body_on_a_get_does_not_hide_the_query_from_the_handler(app: Flask, install: Install) -> None:
    install(AUTH)
    with asking(app, "ann", "GET", "/store/items?namespace=bob&key=k", json={"namespace": ["mine"]}):
        assert get_item() == "ann.bob"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("sent_body", [b'"text"', b"[]", b"[1]", b"null", b"{", b"7"])
def test_no_body_keeps_a_request_from_the_handlers(app: Flask, install: Install, sent_body: bytes) -> None:
    install(AUTH)
    with asking(app, "denied", data=sent_body, content_type="application/json"), pytest.raises(Refusal) as refused:
        batch()
    assert refused.value.status == 403


@pytest.mark.usefixtures("worker")
def test_each_run_of_a_batch_is_shown_to_the_handlers(app: Flask, install: Install) -> None:
    install(AUTH)
    with asking(app, "ann", json=[{"assistant_id": "a"}, {"assistant_id": "b", "metadata": {"x": 1}}]):
        assert json.loads(batch()) == [
            {"assistant_id": "a", "metadata": {"owner": "ann"}},
            {"assistant_id": "b", "metadata": {"x": 1, "owner": "ann"}},
        ]


@pytest.mark.usefixtures("worker")
def test_a_body_that_is_no_object_is_refused_by_the_view_as_ever(app: Flask, install: Install) -> None:
    install(AUTH.replace('value.setdefault("metadata", {})["owner"] = ctx.user.identity', ""))
    with asking(app, "ann", data=b"[1]", content_type="application/json"), pytest.raises(Invalid):
        create()


# -- how often ---------------------------------------------------------------------------------------------------------


def seen(path: Path) -> list[str]:
    """The credentials that the handler was asked about."""
    return list(asyncio.run(graphs.open_object(AgentSource("auth", f"{path}:seen", str(path.parent), dependencies=(str(path.parent),)))))


@pytest.mark.usefixtures("worker")
def test_every_request_is_authenticated_anew(app: Flask, install: Install) -> None:
    path = install(AUTH)
    for _ in range(3):
        with asking(app, "ann", json={}):
            create()
    assert seen(path) == ["Bearer ann"] * 3


@pytest.mark.usefixtures("worker")
def test_a_config_may_have_users_remembered_by_a_header(app: Flask, install: Install) -> None:
    path = install(AUTH, cache={"cache_keys": ["Authorization"], "ttl_seconds": 60, "max_size": 2})
    for identity in ("ann", "ann", "bob", "ann", "cid", "bob", None):
        with asking(app, identity, json={}):
            try:
                assert create()[1] == identity
            except Refusal:
                assert identity is None
    assert seen(path)[:3] == ["Bearer ann", "Bearer bob", "Bearer cid"]
    assert seen(path)[-1] is None


@pytest.mark.usefixtures("worker")
def test_what_no_handler_asks_about_needs_no_second_question(app: Flask, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(AUTH.replace("@auth.on\n", "@auth.on.store\n"), cache={"cache_keys": ["authorization"], "ttl_seconds": 60})
    with asking(app, "ann", json={"metadata": {"a": 1}}):
        assert create() == ({"a": 1}, "ann", None)
    monkeypatch.setattr(handlers, "DESCRIBED_S", 3600.0)
    monkeypatch.setattr(handlers, "ask", lambda *_, **__: pytest.fail("asked a worker"))
    with asking(app, "ann", json={"metadata": {"a": 1}}):
        assert create() == ({"a": 1}, "ann", None)


def test_without_a_worker_nobody_is_let_in(app: Flask, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(AUTH)
    monkeypatch.setattr(handlers, "ask", _impatient)
    assert refusal(app, create, "ann", json={})[:2] == (503, "unavailable")


def _impatient(name: str, question: dict[str, Any]) -> Any:
    return ask(name, question, timeout_s=0.05)
