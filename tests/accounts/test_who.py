"""Who is asking: credentials of every kind, good and bad, and what an open socket keeps of them."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.accounts import who
from server.accounts.actions import Replayed
from server.accounts.models import ApiKey
from server.kit import signing
from server.kit.clock import now
from server.kit.db import db
from server.kit.errors import Refusal, Unauthenticated
from tests.accounts.factories import PASSWORD, Person, ask, bearer, setting


@pytest.fixture
def queries(app: Flask) -> Iterator[list[str]]:
    """The statements that the database is asked to carry out."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(db.engine, "before_cursor_execute", note)


def seen_by(app: Flask, headers: dict[str, str]) -> tuple[str, object]:
    """The credential and the sign-in that a view sees in a request with these headers."""

    def look() -> tuple[str, object]:
        with app.test_request_context("/", headers=headers):
            return who.signed_in(lambda: (who.credential(), who.login_id()))()

    return contextvars.Context().run(look)


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer a b"},
        {"Authorization": "Basic YW5uYTpwdw=="},
        {"Authorization": "Bearer parley_"},
        {"Authorization": "Bearer parley_" + "x" * 43},
        {"X-Api-Key": "parley_" + "x" * 43},
        {"X-Api-Key": "x"},
        {"X-Api-Key": "é"},
        {"X-Api-Key": ""},
    ],
)
def test_what_is_no_credential_is_a_401(app: Flask, anna: Person, headers: dict[str, str]) -> None:
    answer = ask(app, "GET", "/user", headers=headers)

    assert answer.status_code == 401
    assert set(answer.json) == {"msg"}


def test_a_bad_api_key_is_not_made_good_by_a_token(app: Flask, anna: Person) -> None:
    answer = ask(app, "GET", "/user", headers={**bearer(anna.access), "X-Api-Key": "parley_nonsense"})

    assert answer.status_code == 401


def test_a_token_in_the_address_is_not_looked_at(app: Flask, anna: Person) -> None:
    for name in ("jwt", "token", "access_token", "api_key"):
        assert ask(app, "GET", f"/user?{name}={anna.access}").status_code == 401


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_a_token_costs_one_query(app: Flask, anna: Person, queries: list[str]) -> None:
    assert anna.get("/user").status_code == 200

    assert len(queries) == 1, queries


def test_a_key_costs_one_query_and_once_a_minute_a_note_of_its_use(app: Flask, anna: Person, queries: list[str]) -> None:
    headers = {"X-Api-Key": anna.post("/user/api_key", json={"name": "k"}).json["api_key"]}
    ask(app, "GET", "/user", headers=headers)
    queries.clear()

    for _ in range(3):
        ask(app, "GET", "/user", headers=headers)

    assert len(queries) == 3, queries


def test_a_keys_use_is_noted_again_after_a_minute(app: Flask, anna: Person) -> None:
    made = anna.post("/user/api_key", json={"name": "k"}).json
    long_ago = now().replace(year=2020)
    db.session.execute(sa.update(ApiKey).values(last_used_at=long_ago))
    db.session.commit()

    ask(app, "GET", "/user", headers={"X-Api-Key": made["api_key"]})

    db.session.expire_all()
    assert db.session.scalar(sa.select(ApiKey.last_used_at)) > long_ago


# -- AUTH=open ---------------------------------------------------------------------------------------------------------


def test_under_open_auth_a_request_without_credentials_is_the_first_users(app: Flask, anna: Person, ben: Person) -> None:
    with setting(app, auth="open"):
        answer = ask(app, "GET", "/user")
        seen = seen_by(app, {})

    assert answer.json["user"]["user_id"] == anna.user_id
    assert seen == (f"open:{anna.user_id}", None)


def test_under_open_auth_a_server_without_users_says_so(app: Flask) -> None:
    with setting(app, auth="open"):
        answer = ask(app, "GET", "/user")

    assert answer.status_code == 401
    assert "no user yet" in answer.json["msg"]


@pytest.mark.parametrize("headers", [bearer("nonsense"), {"X-Api-Key": "nonsense"}, {"Authorization": "Basic YTpi"}])
def test_under_open_auth_bad_credentials_stay_bad(app: Flask, anna: Person, headers: dict[str, str]) -> None:
    with setting(app, auth="open"):
        assert ask(app, "GET", "/user", headers=headers).status_code == 401


def test_under_open_auth_good_credentials_count(app: Flask, anna: Person, ben: Person) -> None:
    with setting(app, auth="open"):
        assert ben.get("/user").json["user"]["user_id"] == ben.user_id


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_under_open_auth_a_page_of_another_site_gets_nothing(app: Flask, anna: Person, headers: dict[str, str]) -> None:
    with setting(app, auth="open"):
        assert ask(app, "POST", "/workspace", headers=headers).status_code == 401


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_under_open_auth_a_page_of_this_machine_may_ask(app: Flask, anna: Person, host: str) -> None:
    with setting(app, auth="open", cors_origins=("https://tool.example",)):
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}, {"Host": host, "Origin": "https://tool.example"}):
            assert ask(app, "GET", "/user", headers=headers).status_code == 200, headers


# -- what a socket keeps -----------------------------------------------------------------------------------------------


def every_kind(app: Flask, anna: Person, ben: Person) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """Credentials of every kind, each with what ends it; and the key that was made."""
    made = ben.post("/user/api_key", json={"name": "k"}).json
    with setting(app, auth="open"):
        opened, _ = seen_by(app, {})
    by_login, _ = seen_by(app, bearer(ben.access))
    by_key, _ = seen_by(app, {"X-Api-Key": made["api_key"]})
    ends = {
        by_login: lambda: ask(app, "POST", "/auth/logout", headers=bearer(ben.access)),
        by_key: lambda: delete_by_itself(app, made),
        opened: lambda: anna.delete("/user", json={"password": PASSWORD}),
    }
    return ends, made


def delete_by_itself(app: Flask, made: dict[str, Any]) -> None:
    """Delete a key by the key itself."""
    ask(app, "DELETE", f"/user/api_key/{made['key_id']}", headers={"X-Api-Key": made["api_key"]})


def test_many_credentials_are_looked_at_in_one_query(app: Flask, anna: Person, ben: Person, queries: list[str]) -> None:
    ends, _ = every_kind(app, anna, ben)
    queries.clear()

    assert who.ended_among([*ends, *ends]) == set()

    assert len(queries) == 1


def test_no_credentials_cost_no_query(app: Flask, queries: list[str]) -> None:
    assert who.ended_among([]) == set()
    assert queries == []


def test_of_many_credentials_those_that_ended_are_named(app: Flask, anna: Person, ben: Person) -> None:
    ends, _ = every_kind(app, anna, ben)

    ended: set[str] = set()
    for credential, end in ends.items():
        end()
        ended.add(credential)
        assert who.ended_among(ends) == ended


@pytest.mark.parametrize("credential", ["", "login", "login:", "login:nonsense", "key:0199d1a5-0000-7000-8000-000000000000"])
def test_a_credential_that_is_none_has_ended(app: Flask, credential: str) -> None:
    assert who.ended_among([credential]) == {credential}


# -- tickets -----------------------------------------------------------------------------------------------------------


def used(app: Flask, ticket: object, path: str = "/runcmngr") -> str:
    """Whose the ticket is, as the socket at that path finds it; or the code of its refusal."""

    def use() -> str:
        with app.test_request_context(path):
            try:
                return str(who.use_ticket(ticket, path).id)
            except Refusal as refusal:
                return refusal.code

    return contextvars.Context().run(use)


def ticket_of(person: Person, path: str = "/runcmngr") -> str:
    return str(person.post("/ws/ticket", json={"path": path}).json["ticket"])


def test_a_ticket_opens_its_path_for_its_user_once(app: Flask, anna: Person, ben: Person) -> None:
    ticket = ticket_of(ben)

    assert used(app, ticket, "/ws/training/1") == "invalid"
    assert used(app, ticket) == ben.user_id
    assert used(app, ticket) == "replayed"


@pytest.mark.parametrize("ticket", [None, "", 5, "nonsense", {"a": 1}, "x" * 5000])
def test_what_is_no_ticket_is_refused(app: Flask, ticket: object) -> None:
    assert used(app, ticket) == "invalid"


def test_a_string_signed_for_something_else_is_no_ticket(app: Flask, anna: Person) -> None:
    payload = {"id": "1", "path": "/runcmngr", "user_id": anna.user_id, "credential": f"open:{anna.user_id}"}

    assert used(app, signing.sign("connection", payload, life_s=60).text) == "invalid"


def test_a_ticket_that_was_not_used_in_time_has_expired(app: Flask, anna: Person) -> None:
    ticket = ticket_of(anna)

    with setting(app, socket_ticket_s=-1):
        assert used(app, ticket) == "expired"


def test_a_ticket_ends_with_the_credential_that_got_it(app: Flask, anna: Person, ben: Person) -> None:
    by_login, by_login_of_a_deleted_user = ticket_of(ben), ticket_of(anna)
    ask(app, "POST", "/auth/logout", headers=bearer(ben.access))
    anna.delete("/user", json={"password": PASSWORD})

    assert used(app, by_login) == used(app, by_login_of_a_deleted_user) == "unauthenticated"


def test_a_socket_that_came_by_ticket_knows_its_sign_in(app: Flask, anna: Person) -> None:
    expected = seen_by(app, bearer(anna.access))
    ticket = ticket_of(anna)

    def use() -> tuple[str, object]:
        with app.test_request_context("/runcmngr"):
            who.use_ticket(ticket, "/runcmngr")
            return who.credential(), who.login_id()

    assert contextvars.Context().run(use) == expected


def test_of_20_sockets_with_one_ticket_one_gets_in(app: Flask, anna: Person) -> None:
    ticket = ticket_of(anna)

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda _: used(app, ticket), range(20)))

    assert sorted(outcomes) == sorted([anna.user_id] + ["replayed"] * 19)


def test_a_refusal_of_a_ticket_is_one_of_the_tree() -> None:
    assert issubclass(signing.StringExpired, Unauthenticated)
    assert Replayed().status == 409
