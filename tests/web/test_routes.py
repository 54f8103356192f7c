"""The page's files, the API's pages and health, over HTTP."""

from __future__ import annotations

import gzip
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from server.web.routes import STATIC


def script_of(page: str) -> str:
    """The address of the page's script."""
    found = re.search(r'src="(/static/assets/[^"]+\.js)"', page)
    assert found is not None
    return found[1]


def test_the_page_loads_its_script_from_here_under_a_strict_policy(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert client.get(script_of(page.text)).status_code == 200


def test_a_hashed_file_may_be_kept_for_ever_and_the_page_may_not(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "immutable" in client.get(script_of(page.text)).headers["Cache-Control"]


def test_a_client_that_takes_gzip_gets_the_same_file_smaller(client: FlaskClient) -> None:
    path = script_of(client.get("/").text)
    plain = client.get(path)
    small = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.data) < len(plain.data) / 2
    assert gzip.decompress(small.data) == plain.data


@pytest.mark.parametrize(
    "path", ["/static/../routes.py", "/static/..%2froutes.py", "/static/%2e%2e/routes.py", "/static/assets", "/static/nothing.js"]
)
def test_nothing_outside_the_built_files_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_api_pages_allow_no_inline_code_and_no_other_host(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page.text)


def test_ping_answers_pong(client: FlaskClient) -> None:
    assert client.get("/ping").json == {"msg": "pong"}


def test_health_names_each_part_and_says_degraded_without_a_worker(client: FlaskClient) -> None:
    health = client.get("/health").json
    assert health is not None
    assert health["database"] == "connected"
    assert health["redis"] == "connected"
    assert (health["status"], health["workers"], health["queue"]) == ("degraded", 0, 0)


def test_an_unknown_path_is_a_404_in_words(client: FlaskClient) -> None:
    answer = client.get("/nothing/here")
    assert (answer.status_code, answer.json) == (404, {"msg": "Not Found"})
    assert answer.headers["X-Error-Code"] == "not_found"


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/ping")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_bug_is_a_500_that_tells_nothing_but_its_request(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy() -> None:
        raise RuntimeError("a secret")

    monkeypatch.setitem(app.view_functions, "web.ping", buggy)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = app.test_client().get("/ping")
    assert answer.status_code == 500
    assert answer.json == {"msg": "Internal server error", "request_id": answer.headers["X-Request-Id"]}


def test_every_built_file_is_there_without_a_link_out(client: FlaskClient) -> None:
    for path in STATIC.rglob("*.html"):
        assert "https://" not in path.read_text()
