"""The accounts' door: every row of its contract, refusals first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from server.accounts.models import user_by_email
from tests.accounts.factories import PASSWORD, Person, ask, bearer, new_person, setting, sign_in

Notices = Callable[[], list[Any]]

SIGNED_IN_ROUTES = [
    ("GET", "/user"),
    ("PUT", "/user"),
    ("DELETE", "/user"),
    ("PUT", "/user/password"),
    ("POST", "/user/api_key"),
    ("GET", "/user/api_keys"),
    ("DELETE", "/user/api_key/0199d1a5-0000-7000-8000-000000000000"),
    ("POST", "/ws/ticket"),
]

# Routes that need a body: method, path, the fields that are required, and what is said when one is missing.
BODIES = [
    ("POST", "/register", {"email": "a@example.com", "password": PASSWORD}, "Missing email/password parameter"),
    ("POST", "/auth/login", {"email": "a@example.com", "password": PASSWORD}, "Missing email/password parameter"),
    ("DELETE", "/user", {"password": PASSWORD}, "Missing password parameter"),
    ("PUT", "/user/password", {"old_password": PASSWORD, "new_password": PASSWORD}, "Missing old_password/new_password parameter"),
    ("POST", "/user/api_key", {"name": "laptop"}, "Missing name parameter"),
    ("POST", "/ws/ticket", {"path": "/runcmngr"}, "Missing path parameter"),
]


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "fields", "missing"), BODIES)
def test_a_request_without_json_is_told_so(anna: Person, method: str, path: str, fields: dict[str, str], missing: str) -> None:
    for options in ({}, {"data": "email=a"}, {"data": "{broken", "content_type": "application/json"}):
        answer = anna.ask(method, path, **options)

        assert (answer.status_code, answer.json) == (400, {"msg": "Missing JSON in request"}), options


@pytest.mark.parametrize(("method", "path", "fields", "missing"), BODIES)
def test_a_missing_field_is_named_as_the_contract_does(anna: Person, method: str, path: str, fields: dict[str, str], missing: str) -> None:
    for name in fields:
        for body in (
            {key: value for key, value in fields.items() if key != name},
            {**fields, name: ""},
            {**fields, name: None},
        ):
            answer = anna.ask(method, path, json=body)

            assert (answer.status_code, answer.json) == (400, {"msg": missing}), body


@pytest.mark.parametrize(("method", "path", "fields", "missing"), BODIES)
def test_a_field_of_the_wrong_type_is_a_422_that_names_it(
    anna: Person, method: str, path: str, fields: dict[str, str], missing: str
) -> None:
    for name in fields:
        for value in (5, True, ["a"], {"a": 1}):
            answer = anna.ask(method, path, json={**fields, name: value})

            assert answer.status_code == 422, (name, value, answer.json)
            assert set(answer.json) == {"msg", "errors"}
            assert name in answer.json["errors"]


@pytest.mark.parametrize(("method", "path", "fields", "missing"), BODIES)
def test_a_body_that_is_no_object_is_a_422(anna: Person, method: str, path: str, fields: dict[str, str], missing: str) -> None:
    for body in ("[]", '"text"', "5", "null"):
        answer = anna.ask(method, path, data=body, content_type="application/json")

        assert answer.status_code == 422
        assert set(answer.json) == {"msg", "errors"}


@pytest.mark.parametrize(
    "email", ["nobody", "@example.com", "a@", "a b@example.com", "a@b@c", "a@example..com", " ", "a" * 250 + "@example.com"]
)
def test_an_address_that_is_none_is_a_422(app: Flask, email: str) -> None:
    answer = ask(app, "POST", "/register", json={"email": email, "password": PASSWORD})

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["email"]


# -- registration ------------------------------------------------------------------------------------------------------


def test_a_new_user_is_told_their_address(app: Flask) -> None:
    answer = ask(app, "POST", "/register", json={"email": "user@example.com", "password": "securepassword123"})

    assert answer.status_code == 200
    assert answer.json["msg"] == "User created successfully"
    assert answer.json["email"] == "user@example.com"
    assert "securepassword123" not in user_by_email("user@example.com").password_hash


def test_fields_that_are_not_known_are_left_out(app: Flask) -> None:
    answer = ask(app, "POST", "/register", json={"email": "a@example.com", "password": PASSWORD, "is_admin": True, "x": [1]})

    assert answer.status_code == 200


@pytest.mark.parametrize("again", ["anna@example.com", "ANNA@Example.COM", "  anna@example.com ", "ａnna@example.com"])
def test_an_address_is_registered_once_however_it_is_spelled(app: Flask, anna: Person, again: str) -> None:
    answer = ask(app, "POST", "/register", json={"email": again, "password": PASSWORD})

    assert (answer.status_code, answer.json) == (400, {"msg": "User already exists"})


@pytest.mark.parametrize(
    ("password", "status"), [("seven c", 422), ("eight ch", 200), ("x" * 1024, 200), ("x" * 1025, 422), ("日本語パスワード", 200)]
)
def test_a_new_password_has_8_to_1024_characters(app: Flask, password: str, status: int) -> None:
    answer = ask(app, "POST", "/register", json={"email": "a@example.com", "password": password})

    assert answer.status_code == status
    if status == 200:
        assert sign_in(app, "a@example.com", password).get("/user").status_code == 200
    else:
        assert list(answer.json["errors"]) == ["password"]


def test_of_20_registrations_of_one_address_one_succeeds(app: Flask) -> None:
    spellings = ["one@example.com", "ONE@example.com"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: ask(app, "POST", "/register", json={"email": spellings[n % 2], "password": PASSWORD}), range(20)))

    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 19
    assert all((answer.status_code, answer.json) == (400, {"msg": "User already exists"}) for answer in refused)


def test_of_users_who_register_at_once_on_an_empty_server_one_is_the_administrator(app: Flask) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: new_person(app, f"u{n}@example.com"), range(10)))

    assert sum(user_by_email(f"u{n}@example.com").is_admin for n in range(10)) == 1


def test_the_first_user_is_no_administrator_where_others_can_reach_the_server(app: Flask) -> None:
    with setting(app, host="0.0.0.0"):
        person = new_person(app)

    assert person.get("/user").json["user"]["is_admin"] is False


def test_a_closed_server_registers_nobody(app: Flask) -> None:
    with setting(app, registration="closed"):
        answer = ask(app, "POST", "/register", json={"email": "a@example.com", "password": PASSWORD})

    assert answer.status_code == 403
    assert user_by_email("a@example.com") is None


def test_registrations_of_one_network_are_throttled(app: Flask) -> None:
    body = {"email": "a@example.com", "password": PASSWORD}

    def register(address: str) -> int:
        return ask(app, "POST", "/register", json=body, environ_base={"REMOTE_ADDR": address}).status_code

    # Twice the limit and one: a minute may end in between.
    statuses = {register(f"2001:db8::{n:x}") for n in range(241)}

    assert 429 in statuses
    assert register("2001:db8:0:1::1") == 400


# -- sign-in -----------------------------------------------------------------------------------------------------------


def test_somebody_unknown_is_not_found(app: Flask) -> None:
    answer = ask(app, "POST", "/auth/login", json={"email": "nobody@example.com", "password": PASSWORD})

    assert (answer.status_code, answer.json) == (404, {"msg": "User not found"})


@pytest.mark.parametrize("password", ["wrong", PASSWORD + " ", PASSWORD.upper(), "x" * 1024])
def test_a_wrong_password_is_refused(app: Flask, anna: Person, password: str) -> None:
    answer = ask(app, "POST", "/auth/login", json={"email": anna.email, "password": password})

    assert (answer.status_code, answer.json) == (401, {"msg": "Incorrect password."})


def test_a_sign_in_gives_both_tokens(app: Flask, anna: Person) -> None:
    answer = ask(app, "POST", "/auth/login", json={"email": "ANNA@example.com", "password": PASSWORD})

    assert answer.status_code == 200
    assert set(answer.json) == {"access_token", "refresh_token", "token_type", "expires_in", "user_id"}
    assert answer.json["expires_in"] == 3600


# -- the account -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), SIGNED_IN_ROUTES)
def test_nobody_comes_in_without_credentials(app: Flask, method: str, path: str) -> None:
    answer = ask(app, method, path, json={})

    assert answer.status_code == 401
    assert set(answer.json) == {"msg"}


@pytest.mark.parametrize(("method", "path"), SIGNED_IN_ROUTES)
def test_a_good_token_of_a_deleted_user_finds_nobody(anna: Person, method: str, path: str) -> None:
    assert anna.delete("/user", json={"password": PASSWORD}).status_code == 200

    answer = anna.ask(method, path, json={})

    expected = 404 if path.startswith("/user") else 401
    assert answer.status_code == expected
    if expected == 404:
        assert answer.json == {"msg": "User not found"}


def test_a_user_sees_their_account(anna: Person, ben: Person) -> None:
    user = anna.get("/user").json["user"]

    assert (user["user_id"], user["email"], user["is_admin"]) == (anna.user_id, "anna@example.com", True)
    assert user["created_at"].endswith("Z")
    assert ben.get("/user").json["user"]["is_admin"] is False


def test_an_address_changes_and_the_old_one_is_free_again(app: Flask, anna: Person) -> None:
    answer = anna.put("/user", json={"email": "new@example.com"})

    assert (answer.status_code, answer.json) == (200, {"msg": "User updated"})
    assert anna.get("/user").json["user"]["email"] == "new@example.com"
    assert new_person(app, "anna@example.com").user_id != anna.user_id


def test_an_address_may_change_its_spelling(anna: Person) -> None:
    assert anna.put("/user", json={"email": "Anna@Example.com"}).json == {"msg": "User updated"}
    assert anna.get("/user").json["user"]["email"] == "Anna@Example.com"


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"password": "x"}}])
def test_an_update_without_an_address_changes_nothing(anna: Person, options: dict[str, Any]) -> None:
    assert anna.put("/user", **options).json == {"msg": "User updated"}
    assert anna.get("/user").json["user"]["email"] == "anna@example.com"


def test_an_address_that_somebody_has_cannot_be_taken(anna: Person, ben: Person) -> None:
    answer = ben.put("/user", json={"email": "ANNA@example.com"})

    assert (answer.status_code, answer.json) == (400, {"msg": "User already exists"})
    assert ben.get("/user").json["user"]["email"] == "ben@example.com"


@pytest.mark.parametrize("email", ["", None, 5, "nobody", ["a@example.com"]])
def test_an_update_to_no_address_is_a_422(anna: Person, email: object) -> None:
    answer = anna.put("/user", json={"email": email})

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["email"]


def test_of_10_users_who_want_one_address_at_once_one_gets_it(app: Flask) -> None:
    people = [new_person(app) for _ in range(10)]

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda person: person.put("/user", json={"email": "same@example.com"}).status_code, people))

    assert sorted(statuses) == [200] + [400] * 9


# -- the password ------------------------------------------------------------------------------------------------------


def test_the_password_is_not_changed_by_whoever_does_not_know_it(app: Flask, anna: Person) -> None:
    answer = anna.put("/user/password", json={"old_password": "wrong", "new_password": "another password"})

    assert (answer.status_code, answer.json) == (401, {"msg": "Incorrect password."})
    assert sign_in(app, anna.email, PASSWORD)


@pytest.mark.parametrize("new", ["seven c", "x" * 1025])
def test_a_changed_password_has_the_length_of_a_new_one(anna: Person, new: str) -> None:
    answer = anna.put("/user/password", json={"old_password": PASSWORD, "new_password": new})

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["new_password"]


def test_a_new_password_ends_every_other_sign_in_at_once(app: Flask, anna: Person, ben: Person, notices: Notices) -> None:
    elsewhere = [anna.sign_in_again() for _ in range(3)]

    answer = anna.put("/user/password", json={"old_password": PASSWORD, "new_password": "another password"})

    assert (answer.status_code, answer.json) == (200, {"msg": "Password changed"})
    assert [other.get("/user").status_code for other in elsewhere] == [401] * 3
    assert [ask(app, "POST", "/auth/refresh", headers=bearer(other.refresh)).status_code for other in elsewhere] == [401] * 3
    assert anna.get("/user").status_code == ben.get("/user").status_code == 200
    told = notices()
    assert [kind for kind, _ in told] == ["accounts.login_ended"] * 3
    assert {facts["user_id"] for _, facts in told} == {anna.user_id}
    assert ask(app, "POST", "/auth/login", json={"email": anna.email, "password": PASSWORD}).status_code == 401
    assert sign_in(app, anna.email, "another password")


# -- the end of an account ---------------------------------------------------------------------------------------------


def test_an_account_is_not_deleted_by_whoever_does_not_know_its_password(anna: Person) -> None:
    answer = anna.delete("/user", json={"password": "wrong"})

    assert (answer.status_code, answer.json) == (401, {"msg": "Incorrect password."})
    assert anna.get("/user").status_code == 200


def test_a_deleted_account_is_gone_with_its_keys_and_tokens(app: Flask, anna: Person, ben: Person, notices: Notices) -> None:
    key = anna.post("/user/api_key", json={"name": "laptop"}).json["api_key"]

    answer = anna.delete("/user", json={"password": PASSWORD})

    assert (answer.status_code, answer.json) == (200, {"msg": "User deleted"})
    assert ask(app, "GET", "/user", headers={"X-Api-Key": key}).status_code == 401
    assert ask(app, "POST", "/auth/refresh", headers=bearer(anna.refresh)).status_code == 401
    assert ask(app, "POST", "/auth/login", json={"email": anna.email, "password": PASSWORD}).status_code == 404
    assert ben.get("/user").status_code == 200
    assert ["accounts.user_deleted", {"user_id": anna.user_id}] in notices()


# -- refresh and sign-out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, bearer(""), bearer("nonsense"), {"Authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_a_sign_in_does_not_go_on_or_end_without_its_token(app: Flask, path: str, headers: dict[str, str]) -> None:
    answer = ask(app, "POST", path, headers=headers)

    assert answer.status_code == 401
    assert set(answer.json) == {"msg"}


def test_an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing(app: Flask, anna: Person) -> None:
    assert ask(app, "POST", "/auth/refresh", headers=bearer(anna.access)).status_code == 401
    assert ask(app, "GET", "/user", headers=bearer(anna.refresh)).status_code == 401


def test_an_api_key_neither_refreshes_nor_signs_out(app: Flask, anna: Person) -> None:
    key = anna.post("/user/api_key", json={"name": "laptop"}).json["api_key"]

    for path in ("/auth/refresh", "/auth/logout"):
        for headers in (bearer(key), {"X-Api-Key": key}):
            assert ask(app, "POST", path, headers=headers).status_code == 401


def test_a_refresh_gives_new_tokens_of_the_same_sign_in(app: Flask, anna: Person) -> None:
    answer = ask(app, "POST", "/auth/refresh", headers=bearer(anna.refresh))

    assert answer.status_code == 200
    assert set(answer.json) == {"access_token", "refresh_token", "token_type", "expires_in", "user_id"}
    assert answer.json["refresh_token"] != anna.refresh
    assert ask(app, "GET", "/user", headers=bearer(answer.json["access_token"])).status_code == 200
    assert anna.get("/user").status_code == 200


@pytest.mark.parametrize("which", ["access", "refresh"])
def test_signing_out_ends_all_tokens_of_the_sign_in_and_no_other(app: Flask, anna: Person, notices: Notices, which: str) -> None:
    other = anna.sign_in_again()

    answer = ask(app, "POST", "/auth/logout", headers=bearer(getattr(anna, which)))

    assert (answer.status_code, answer.json) == (200, {"msg": "Logged out"})
    assert anna.get("/user").status_code == 401
    assert ask(app, "POST", "/auth/refresh", headers=bearer(anna.refresh)).status_code == 401
    assert ask(app, "POST", "/auth/logout", headers=bearer(anna.access)).status_code == 401
    assert other.get("/user").status_code == 200
    [[kind, facts]] = notices()
    assert (kind, facts["user_id"]) == ("accounts.login_ended", anna.user_id)


# -- API keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["   ", "x" * 201, "a\nb", "a\x00b"])
def test_a_key_with_a_bad_name_is_not_made(anna: Person, name: str) -> None:
    answer = anna.post("/user/api_key", json={"name": name})

    assert answer.status_code == 422
    assert anna.get("/user/api_keys").json == {"api_keys": []}


def test_a_key_is_shown_once_and_listed_by_its_beginning(anna: Person, ben: Person) -> None:
    made = anna.post("/user/api_key", json={"name": " laptop "}).json

    assert set(made) == {"api_key", "key_id", "name"}
    assert made["api_key"].startswith("parley_")
    assert len(made["api_key"]) >= len("parley_") + 40
    listed = anna.get("/user/api_keys")
    [key] = listed.json["api_keys"]
    assert (key["key_id"], key["name"], key["last_used_at"]) == (made["key_id"], "laptop", None)
    assert made["api_key"].startswith(key["prefix"])
    assert made["api_key"] not in listed.text
    assert ben.get("/user/api_keys").json == {"api_keys": []}


def test_there_are_not_more_keys_than_a_user_may_have(anna: Person) -> None:
    for _ in range(100):
        assert anna.post("/user/api_key", json={"name": "k"}).status_code == 200

    assert anna.post("/user/api_key", json={"name": "k"}).status_code == 409


def test_a_key_stands_for_its_user_until_it_is_deleted(app: Flask, anna: Person, notices: Notices) -> None:
    made = anna.post("/user/api_key", json={"name": "laptop"}).json
    ways = ({"X-Api-Key": made["api_key"]}, bearer(made["api_key"]), {"Authorization": f"bearer  {made['api_key']}"})
    for headers in ways:
        assert ask(app, "GET", "/user", headers=headers).json["user"]["user_id"] == anna.user_id
    assert anna.get("/user/api_keys").json["api_keys"][0]["last_used_at"].endswith("Z")

    answer = anna.delete(f"/user/api_key/{made['key_id']}")

    assert (answer.status_code, answer.json) == (200, {"msg": "API key deleted"})
    assert [ask(app, "GET", "/user", headers=headers).status_code for headers in ways] == [401] * 3
    assert notices() == [["accounts.key_ended", {"key_id": made["key_id"]}]]
    assert anna.delete(f"/user/api_key/{made['key_id']}").status_code == 404


@pytest.mark.parametrize("key_id", ["nonsense", "0199d1a5-0000-7000-8000-000000000000", "%00", "x" * 500])
def test_a_key_that_is_not_there_is_not_found(anna: Person, key_id: str) -> None:
    answer = anna.delete(f"/user/api_key/{key_id}")

    assert (answer.status_code, answer.json) == (404, {"msg": "API key not found"})


def test_somebody_elses_key_is_not_there(anna: Person, ben: Person) -> None:
    made = anna.post("/user/api_key", json={"name": "laptop"}).json

    assert ben.delete(f"/user/api_key/{made['key_id']}").status_code == 404
    assert len(anna.get("/user/api_keys").json["api_keys"]) == 1


# -- tickets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["runcmngr", "http://other.example/x", "/a?ticket=1", "/a#b", "/a b", "/" + "x" * 2000])
def test_a_ticket_is_for_a_path(anna: Person, path: str) -> None:
    answer = anna.post("/ws/ticket", json={"path": path})

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["path"]


def test_a_ticket_says_until_when_it_is_good(anna: Person) -> None:
    answer = anna.post("/ws/ticket", json={"path": "/runcmngr"})

    assert answer.status_code == 200
    assert set(answer.json) == {"ticket", "expires_at"}
    assert answer.json["expires_at"].endswith("Z")
