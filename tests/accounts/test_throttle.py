"""How often a password may be wrong, by account and by network, and that nobody is locked out for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from server.accounts.models import SignInTries
from server.accounts.throttle import Throttle, sweep
from server.kit.clock import after, now
from server.kit.db import db
from tests.accounts.factories import PASSWORD, Person, ask


def try_to_sign_in(app: Flask, email: str, password: str, address: str = "192.0.2.1") -> TestResponse:
    return ask(app, "POST", "/auth/login", json={"email": email, "password": password}, environ_base={"REMOTE_ADDR": address})


def end_all_windows() -> None:
    db.session.execute(sa.update(SignInTries).values(ends_at=now()))
    db.session.commit()


def test_an_account_has_ten_wrong_passwords_in_a_window(app: Flask, anna: Person) -> None:
    statuses = [try_to_sign_in(app, anna.email, "wrong").status_code for _ in range(12)]

    assert statuses == [401] * 10 + [429] * 2
    refused = try_to_sign_in(app, anna.email.upper(), PASSWORD, "198.51.100.9")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300
    assert set(refused.json) == {"msg"}


def test_another_account_is_not_throttled_with_it(app: Flask, anna: Person, ben: Person) -> None:
    for _ in range(11):
        try_to_sign_in(app, anna.email, "wrong")

    assert try_to_sign_in(app, ben.email, PASSWORD).status_code == 200


def test_after_the_window_the_right_password_opens_again(app: Flask, anna: Person) -> None:
    for _ in range(30):
        try_to_sign_in(app, anna.email, "wrong")

    end_all_windows()

    assert try_to_sign_in(app, anna.email, PASSWORD).status_code == 200


def test_refused_tries_do_not_make_the_window_longer(app: Flask, anna: Person) -> None:
    for _ in range(10):
        try_to_sign_in(app, anna.email, "wrong")
    before = db.session.execute(sa.select(SignInTries.name, SignInTries.tries, SignInTries.ends_at)).all()
    db.session.rollback()

    try_to_sign_in(app, anna.email, "wrong")

    assert db.session.execute(sa.select(SignInTries.name, SignInTries.tries, SignInTries.ends_at)).all() == before


def test_a_success_clears_the_account(app: Flask, anna: Person) -> None:
    for _ in range(3):
        assert [try_to_sign_in(app, anna.email, "wrong").status_code for _ in range(9)] == [401] * 9
        assert try_to_sign_in(app, anna.email, PASSWORD).status_code == 200


def test_successes_are_not_counted(app: Flask, anna: Person) -> None:
    assert {try_to_sign_in(app, anna.email, PASSWORD).status_code for _ in range(55)} == {200}


def test_a_network_has_five_times_as_many_over_all_accounts(app: Flask, anna: Person) -> None:
    statuses = [try_to_sign_in(app, f"nobody{n}@example.com", "wrong").status_code for n in range(52)]

    assert statuses == [404] * 50 + [429] * 2
    assert try_to_sign_in(app, anna.email, PASSWORD).status_code == 429
    assert try_to_sign_in(app, anna.email, PASSWORD, "192.0.2.2").status_code == 200


def test_no_number_of_tries_at_once_gets_more_than_ten_looked_at(app: Flask, anna: Person) -> None:
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: try_to_sign_in(app, anna.email, "wrong").status_code, range(40)))

    assert sorted(statuses) == [401] * 10 + [429] * 30


@pytest.mark.parametrize(("method", "path", "name"), [("PUT", "/user/password", "old_password"), ("DELETE", "/user", "password")])
def test_a_stolen_token_does_not_help_to_guess_the_password(app: Flask, anna: Person, method: str, path: str, name: str) -> None:
    def guess(password: str) -> int:
        return anna.ask(method, path, json={name: password, "new_password": "another password"}).status_code

    assert [guess("wrong") for _ in range(11)] == [401] * 10 + [429]
    assert guess(PASSWORD) == 429
    assert anna.get("/user").status_code == 200


def test_windows_that_are_over_are_swept(app: Flask, anna: Person) -> None:
    try_to_sign_in(app, anna.email, "wrong")
    before = set(db.session.scalars(sa.select(SignInTries.name)))

    sweep(now())
    assert set(db.session.scalars(sa.select(SignInTries.name))) == before
    sweep(after(301))
    assert set(db.session.scalars(sa.select(SignInTries.name))) == set()


def test_a_throttle_knows_the_networks_of_addresses(app: Flask) -> None:
    assert Throttle.of(app.config["SETTINGS"], "2001:db8::1").network == Throttle.of(app.config["SETTINGS"], "2001:db8::2").network
