"""The API's description: it names every route, says who may ask, and the server keeps to it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from server.web.openapi import TOKEN_ONLY, Operation, operations, spec
from tests.accounts.factories import Person, ask, new_person

ROOT = Path(__file__).parents[2]
# What anybody may ask for; every other route wants to know who asks.
FOR_ANYBODY = {"web.ping", "web.show_health", "info.info", "info.is_ok", "accounts.register", "accounts.login", *TOKEN_ONLY}
# The page that explains a door to those who call it.
PAGES = {"accounts": "accounts.md", "workspaces": "accounts.md"}

ODD: list[Any] = [
    "",
    " ",
    "x",
    "x" * 5000,
    "é\ud7ff𝄞",
    "a@example.com",
    "/a",
    "viewer",
    0,
    -1,
    10**30,
    1.5,
    True,
    None,
    [],
    {},
    [[]],
    {"a": []},
]
REQUESTS_AN_OPERATION = 15


def name(operation: Operation) -> str:
    return f"{operation.method} {operation.rule.rule}"


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_every_route_says_what_it_does_and_what_it_answers(app: Flask) -> None:
    silent = [name(each) for each in operations(app) if not each.prose[0] or each.said.answer is None]

    assert silent == []


def test_every_route_wants_to_know_who_asks_or_is_named_as_open_to_anybody(app: Flask) -> None:
    for_anybody = {each.rule.endpoint for each in operations(app) if not each.said.needs_sign_in}

    assert for_anybody == FOR_ANYBODY


def test_every_route_that_wants_to_know_who_asks_refuses_whoever_does_not_say(app: Flask) -> None:
    let_in = []
    for operation in operations(app):
        path = re.sub(r"<[^>]+>", "0199d1a5-0000-7000-8000-000000000000", operation.rule.rule)
        if operation.said.needs_sign_in and ask(app, operation.method, path).status_code != 401:
            let_in.append(name(operation))

    assert let_in == []


def test_every_reference_leads_to_a_schema_that_is_there(app: Flask) -> None:
    described = spec(app)
    schemas = {f"#/components/schemas/{each}" for each in described["components"]["schemas"]}

    assert set(references(described)) <= schemas


def test_every_operation_has_a_name_of_its_own(app: Flask) -> None:
    names = [each["operationId"] for methods in spec(app)["paths"].values() for each in methods.values()]

    assert len(names) == len(set(names))


def test_every_id_in_a_path_is_described(app: Flask) -> None:
    for path, methods in spec(app)["paths"].items():
        for method, operation in methods.items():
            described = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert described == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_the_contracts_refusals_are_in_the_description(app: Flask) -> None:
    responses = spec(app)["paths"]["/workspace/{workspace_id}/rename"]["put"]["responses"]

    assert "Missing JSON in request" in responses["400"]["description"]
    assert "Missing name parameter" in responses["400"]["description"]
    assert responses["403"]["description"] == "User is not the owner of the workspace"
    assert responses["404"]["description"] == "Workspace not found"


def test_the_description_is_served_as_it_is_made(app: Flask) -> None:
    assert ask(app, "GET", "/openapi.json").json == app.json.loads(app.json.dumps(spec(app)))


@pytest.mark.parametrize(("door", "page"), PAGES.items())
def test_every_route_of_a_door_is_on_its_page(app: Flask, door: str, page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    unexplained = [name(each) for each in operations(app) if each.rule.endpoint.startswith(f"{door}.") and f"`{name(each)}" not in text]

    assert unexplained == []


# -- requests that nobody would write by hand --------------------------------------------------------------------------


def value_of(described: dict[str, Any], dice: random.Random) -> Any:
    """A value that the schema might take, or an odd one."""
    if dice.random() < 0.4:
        return dice.choice(ODD)
    return described.get("example") or dice.choice(described.get("enum") or ["text", "x" * described.get("minLength", 1)])


def request_to(operation: dict[str, Any], path: str, schemas: dict[str, Any], dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A path and a request's options, made from the description of an operation."""
    options: dict[str, Any] = {"query_string": {}}
    for parameter in operation["parameters"]:
        value = value_of(parameter["schema"], dice)
        if parameter["in"] == "query":
            options["query_string"][parameter["name"]] = value
        else:
            path = path.replace(f"{{{parameter['name']}}}", re.sub(r"[^\w@]", "", str(value)) or "x")
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        properties = schemas[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]["properties"]
        body = {each: value_of(described, dice) for each, described in properties.items() if dice.random() < 0.9}
        options.update(data=json.dumps(body), content_type="application/json")
    elif content:
        options["data"] = {"file": str(dice.choice(ODD))}
    return path, options


@pytest.fixture(scope="module")
def answered(migrated_app: Flask) -> list[tuple[str, dict[str, Any], TestResponse, set[str]]]:
    """What the server answers to requests made from its own description: asked, options, answer, the statuses it describes."""
    dice = random.Random(11)
    described = json.loads(migrated_app.json.dumps(spec(migrated_app)))
    person: Person = new_person(migrated_app, "generator@example.com")
    found = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for _ in range(REQUESTS_AN_OPERATION):
                asked, options = request_to(operation, path, described["components"]["schemas"], dice)
                answer = person.ask(method.upper(), asked, **options)
                found.append((f"{method.upper()} {path}", options, answer, set(operation["responses"])))
    return found


def test_no_generated_request_is_answered_with_a_500(answered: list[tuple[str, Any, TestResponse, set[str]]]) -> None:
    assert [(asked, options, answer.text) for asked, options, answer, _ in answered if answer.status_code >= 500] == []


def test_every_answer_is_json(answered: list[tuple[str, Any, TestResponse, set[str]]]) -> None:
    assert [(asked, options) for asked, options, answer, _ in answered if not answer.is_json or answer.json is None] == []


def test_every_status_that_is_answered_is_described(answered: list[tuple[str, Any, TestResponse, set[str]]]) -> None:
    surprises = {(asked, answer.status_code) for asked, _, answer, statuses in answered if str(answer.status_code) not in statuses}

    assert surprises == set()
