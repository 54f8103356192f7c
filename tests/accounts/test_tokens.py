"""Tokens: what is not one of ours, letter by letter, opens nothing."""

from __future__ import annotations

import base64
import datetime as dt
import random
import string

import jwt
import pytest
from flask import Flask
from flask_jwt_extended import create_access_token

from server.accounts import tokens
from server.kit.errors import Unauthenticated
from tests.accounts.factories import Person, ask, bearer, setting, sign_in

ALPHABET = string.ascii_letters + string.digits + "-_"


def forged(app: Flask, claims: dict[str, object], *, key: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key or app.config["JWT_SECRET_KEY"], algorithm)


def mutated(token: str, dice: random.Random) -> str:
    """The token with one letter changed, left out, put in, or exchanged."""
    place, letter = dice.randrange(len(token)), dice.choice(ALPHABET + ".=")
    ways = (
        token[:place] + letter + token[place + 1 :],
        token[:place] + token[place + 1 :],
        token[:place] + letter + token[place:],
        token[:-1] + letter,
        token[:place] + token[place:].swapcase(),
    )
    return dice.choice(ways)


def test_of_10000_mutated_tokens_none_is_read(app: Flask, anna: Person) -> None:
    dice = random.Random(7)
    read = []

    for _ in range(10_000):
        token = mutated(anna.access, dice)
        if token == anna.access:
            continue
        try:
            read.append((token, tokens.read(token)))
        except Unauthenticated:
            pass

    assert read == []


def test_every_other_spelling_of_the_last_letter_is_refused(app: Flask, anna: Person) -> None:
    statuses = {
        ask(app, "GET", "/user", headers=bearer(anna.access[:-1] + letter)).status_code for letter in ALPHABET if letter != anna.access[-1]
    }

    assert statuses == {401}


def test_a_token_signed_with_another_key_is_refused(app: Flask, anna: Person) -> None:
    claims = jwt.decode(anna.access, options={"verify_signature": False})
    secret = app.config["SETTINGS"].secret_key

    for key in ("x" * 32, secret, secret[::-1]):
        answer = ask(app, "GET", "/user", headers=bearer(forged(app, claims, key=key)))
        assert (answer.status_code, answer.json) == (401, {"msg": "The token is not valid."})


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_of_another_algorithm_is_refused(app: Flask, anna: Person, algorithm: str) -> None:
    claims = jwt.decode(anna.access, options={"verify_signature": False})

    assert ask(app, "GET", "/user", headers=bearer(forged(app, claims, algorithm=algorithm))).status_code == 401


def test_a_token_without_a_signature_is_refused(app: Flask, anna: Person) -> None:
    claims = jwt.decode(anna.access, options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none")

    for token in (unsigned, unsigned.rstrip("."), anna.access.rpartition(".")[0], anna.access.rpartition(".")[0] + "."):
        assert ask(app, "GET", "/user", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("depth", [10, 5000])
def test_what_a_stranger_wrote_is_never_parsed(app: Flask, depth: int) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    deep = base64.urlsafe_b64encode(b"[" * depth).rstrip(b"=").decode()

    for token in (f"{head}.{deep}.AAAA", f"{deep}.{deep}.AAAA", "a.b.c", "...", ".", "é.é.é", "\x7f", "x" * 5000):
        answer = ask(app, "GET", "/user", headers=bearer(token))
        assert answer.status_code == 401, token[:40]


def test_an_expired_token_is_refused_by_name(app: Flask, anna: Person) -> None:
    claims = tokens.read(anna.access)
    old = create_access_token(anna.user_id, additional_claims={"login": str(claims.login_id)}, expires_delta=dt.timedelta(seconds=-1))

    answer = ask(app, "GET", "/user", headers=bearer(old))

    assert (answer.status_code, answer.json) == (401, {"msg": "The token has expired."})


def test_an_access_token_does_not_outlive_its_sign_in(app: Flask, anna: Person) -> None:
    with setting(app, refresh_token_s=60):
        person = sign_in(app, anna.email, anna.password)

    assert person.tokens["expires_in"] <= 60


def test_a_server_with_another_secret_refuses_the_tokens(app: Flask, anna: Person) -> None:
    before = app.config["JWT_SECRET_KEY"]
    app.config["JWT_SECRET_KEY"] = "f" * 64
    try:
        assert anna.get("/user").status_code == 401
    finally:
        app.config["JWT_SECRET_KEY"] = before
