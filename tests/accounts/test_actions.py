"""Accounts without a door: refresh tokens in a row, one-use strings in a race, what is swept."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.accounts import actions
from server.accounts.models import Login, UsedString, User
from server.accounts.tokens import read
from server.kit.clock import after, now
from server.kit.db import commit, db, rollback
from tests.accounts.factories import PASSWORD, Person, ask, bearer, new_person

Notices = Callable[[], list[Any]]


# -- refresh -----------------------------------------------------------------------------------------------------------


def refreshed(app: Flask, token: str) -> dict[str, Any]:
    answer = ask(app, "POST", "/auth/refresh", headers=bearer(token))
    return {"status": answer.status_code, **answer.json}


def overlap_is_over() -> None:
    db.session.execute(sa.update(Login).values(refreshed_at=now() - dt.timedelta(seconds=31)))
    db.session.commit()


def test_refresh_tokens_follow_one_another(app: Flask, anna: Person) -> None:
    token = anna.refresh
    for _ in range(5):
        overlap_is_over()
        token = refreshed(app, token)["refresh_token"]

    assert read(token).number == 5


def test_a_lost_answer_is_given_again_for_a_while(app: Flask, anna: Person) -> None:
    lost = refreshed(app, anna.refresh)

    again = refreshed(app, anna.refresh)

    assert again["status"] == 200
    assert read(again["refresh_token"]).number == read(lost["refresh_token"]).number
    assert refreshed(app, again["refresh_token"])["status"] == 200


def test_a_refresh_token_that_comes_back_later_ends_the_sign_in(app: Flask, anna: Person, notices: Notices) -> None:
    newer = refreshed(app, anna.refresh)
    overlap_is_over()

    assert refreshed(app, anna.refresh)["status"] == 401

    assert refreshed(app, newer["refresh_token"])["status"] == 401
    assert ask(app, "GET", "/user", headers=bearer(newer["access_token"])).status_code == 401
    assert [kind for kind, _ in notices()] == ["accounts.login_ended"]


def test_the_refresh_token_before_the_last_ends_the_sign_in_at_once(app: Flask, anna: Person) -> None:
    second = refreshed(app, anna.refresh)["refresh_token"]
    third = refreshed(app, second)["refresh_token"]

    assert refreshed(app, anna.refresh)["status"] == 401
    assert refreshed(app, third)["status"] == 401


def test_20_refreshes_at_once_move_the_sign_in_on_by_one(app: Flask, anna: Person) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: refreshed(app, anna.refresh), range(20)))

    assert {answer["status"] for answer in answers} == {200}
    assert {read(answer["refresh_token"]).number for answer in answers} == {1}


def test_a_sign_in_that_has_expired_does_not_go_on(app: Flask, anna: Person) -> None:
    db.session.execute(sa.update(Login).values(expires_at=now()))
    db.session.commit()

    assert refreshed(app, anna.refresh)["status"] == 401
    assert anna.get("/user").status_code == 401


# -- a password that changes while somebody signs in -------------------------------------------------------------------


def test_no_sign_in_with_the_old_password_outlives_its_change(app: Flask, anna: Person) -> None:
    def sign_in(_: int) -> str | None:
        answer = ask(app, "POST", "/auth/login", json={"email": anna.email, "password": PASSWORD})
        return answer.json.get("access_token")

    def change() -> int:
        return anna.put("/user/password", json={"old_password": PASSWORD, "new_password": "another password"}).status_code

    with ThreadPoolExecutor(9) as pool:
        changed = pool.submit(change)
        tokens = [token for token in pool.map(sign_in, range(8)) if token]

    assert changed.result() == 200
    assert {ask(app, "GET", "/user", headers=bearer(token)).status_code for token in tokens} <= {401}


def test_of_two_changes_of_the_password_at_once_one_wins(app: Flask, anna: Person) -> None:
    def change(new: str) -> int:
        return anna.put("/user/password", json={"old_password": PASSWORD, "new_password": new}).status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(change, ["password one", "password two"]))

    assert statuses == [200, 401]


# -- accounts from the command line ------------------------------------------------------------------------------------


def test_an_account_from_the_command_line_is_an_administrator_only_if_asked(app: Flask) -> None:
    assert actions.register("first@example.com", PASSWORD).is_admin is False
    assert actions.register("second@example.com", PASSWORD, is_admin=True).is_admin is True
    assert actions.register("third@example.com", PASSWORD, first_is_admin=True).is_admin is False


def test_a_key_from_the_command_line_opens_the_door(app: Flask) -> None:
    user = actions.register("first@example.com", PASSWORD)

    key, text = actions.create_api_key(user, "command line")

    assert ask(app, "GET", "/user", headers={"X-Api-Key": text}).json["user"]["user_id"] == str(user.id)
    assert text not in (key.digest, key.prefix)


def test_a_user_who_is_gone_gets_no_key(app: Flask, anna: Person) -> None:
    ghost = User(id=uuid.uuid4(), email="x@example.com")

    with pytest.raises(actions.UserNotFound):
        actions.create_api_key(ghost, "k")


def test_the_same_address_registers_anew_after_its_deletion(app: Flask, anna: Person) -> None:
    anna.delete("/user", json={"password": PASSWORD})

    assert new_person(app, anna.email).user_id != anna.user_id


# -- one-use strings ---------------------------------------------------------------------------------------------------


def test_a_string_is_used_once(app: Flask) -> None:
    actions.use_once("s", after(30))
    commit()

    with pytest.raises(actions.Replayed) as refusal:
        actions.use_once("s", after(30))
    assert (refusal.value.code, refusal.value.status) == ("replayed", 409)


def test_a_string_is_not_used_by_whoever_rolls_back(app: Flask) -> None:
    actions.use_once("s", after(30))
    rollback()

    actions.use_once("s", after(30))


def test_a_replay_leaves_the_callers_transaction_usable(app: Flask) -> None:
    actions.use_once("s", after(30))
    commit()

    actions.use_once("t", after(30))
    with pytest.raises(actions.Replayed):
        actions.use_once("s", after(30))
    commit()

    assert set(db.session.scalars(sa.select(UsedString.id))) == {"s", "t"}


def test_of_20_who_use_a_string_at_once_one_succeeds(app: Flask) -> None:
    def use(number: int) -> str:
        with app.app_context():
            try:
                actions.use_once("s", after(30))
                commit()
            except actions.Replayed:
                rollback()
                return "replayed"
            return "used"

    with ThreadPoolExecutor(20) as pool:
        outcomes = sorted(pool.map(use, range(20)))

    assert outcomes == ["replayed"] * 19 + ["used"]


def test_a_second_user_waits_for_the_first_and_takes_over_when_that_fails(app: Flask) -> None:
    actions.use_once("s", after(30))

    def use() -> str:
        with app.app_context():
            actions.use_once("s", after(30))
            commit()
            return "used"

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(use)
        is_waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with db.engine.connect() as watcher:
            while not watcher.execute(is_waiting).scalar():
                watcher.rollback()
        rollback()

        assert second.result(timeout=10) == "used"


def test_used_strings_are_swept_a_day_after_they_expired(app: Flask) -> None:
    actions.use_once("old", now() - dt.timedelta(days=2))
    actions.use_once("new", now())
    commit()

    assert actions.sweep_used(now()) == 1
    assert list(db.session.scalars(sa.select(UsedString.id))) == ["new"]


def test_sign_ins_are_swept_a_day_after_they_expired(app: Flask, anna: Person) -> None:
    actions.sweep_used(now())
    assert anna.get("/user").status_code == 200

    actions.sweep_used(now() + dt.timedelta(days=32))
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Login)) == 0
