"""An operator's handlers, as the ecosystem writes them: what they are shown, and how their answers are read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.engine import auth, graphs
from server.engine.auth import Refused
from server.engine.job import AgentSource

HEAD = """
from dataclasses import dataclass
import uuid
from langgraph_sdk import Auth
auth = Auth()
HTTPException = Auth.exceptions.HTTPException
"""
FACTS: dict[str, Any] = {
    "method": "POST",
    "path": "/threads/t1/runs",
    "query_string": "a=1",
    "query_params": {"a": "1"},
    "path_params": {"thread_id": "t1"},
    "headers": [["Authorization", "Bearer ann"], ["X-Team", "red"]],
    "cookies": {},
    "body": {"input": {"n": 1}},
}
ANN = {"identity": "ann", "permissions": ["write"], "team": "red"}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test opened is not there for the next."""
    yield
    graphs.forget()


def handlers(folder: Path, code: str) -> AgentSource:
    (folder / "auth.py").write_text(HEAD + code)
    return AgentSource("auth", f"{folder}/auth.py:auth", str(folder))


def authenticating(folder: Path, parameters: str, body: str) -> Any:
    code = f"@auth.authenticate\nasync def authenticate({parameters}):\n    {body}\n"
    return asyncio.run(auth.authenticate(handlers(folder, code), FACTS))


def judged(folder: Path, code: str, *, action: str = "create", value: dict[str, Any] | None = None, resource: str = "threads") -> Any:
    return asyncio.run(auth.authorize(handlers(folder, code), ANN, resource, action, {"metadata": {}} if value is None else value))


def on(body: str, which: str = "auth.on") -> str:
    return f"@{which}\nasync def on(ctx, value):\n    {body}\n"


# -- who ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("authorization", "authorization"),
        ("authorization: str | None, method: str", "f'{method} {authorization}'"),
        ("headers: dict[bytes, bytes]", "headers[b'x-team'].decode()"),
        ("request", "request.headers.get('AUTHORIZATION')"),
        ("request", "f'{request.method} {request.url} {request.url.path}'"),
        ("request", "str((await request.json())['input']['n'])"),
        ("body", "str(body['input']['n'])"),
        ("path, path_params, query_params", "' '.join((path, path_params['thread_id'], query_params['a']))"),
    ],
)
def test_a_handler_is_given_what_it_names(tmp_path: Path, parameters: str, told: str) -> None:
    said = authenticating(tmp_path, parameters, f"return {told}")["identity"]
    assert said in {"Bearer ann", "POST Bearer ann", "red", "POST /threads/t1/runs?a=1 /threads/t1/runs", "1", "/threads/t1/runs t1 1"}


@pytest.mark.parametrize(
    "told",
    [
        "'ann'",
        "{'identity': 'ann'}",
        "type('User', (), {'identity': 'ann'})()",
        "dataclass(type('User', (), {'__annotations__': {'identity': str}}))('ann')",
    ],
)
def test_a_user_may_be_a_text_a_mapping_or_an_object(tmp_path: Path, told: str) -> None:
    expected = {"identity": "ann", "display_name": "ann", "is_authenticated": True, "permissions": []}
    assert authenticating(tmp_path, "headers", f"return {told}") == expected


def test_what_else_is_told_of_a_user_is_kept_as_json(tmp_path: Path) -> None:
    told = "{'identity': 'ann', 'permissions': ('a', 'b'), 'display_name': 'Ann', 'org': uuid.UUID(int=1)}"
    user = authenticating(tmp_path, "headers", f"return {told}")
    assert (user["permissions"], user["display_name"], user["org"]) == (["a", "b"], "Ann", "00000000-0000-0000-0000-000000000001")


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ("raise HTTPException(status_code=401, detail='no token')", 401, "no token"),
        ("raise HTTPException()", 401, "Unauthorized"),
        ("raise HTTPException(status_code=418, detail='short')", 418, "short"),
        ("raise HTTPException(status_code=302, detail='away')", 500, "away"),
        ("assert False, 'a secret'", 401, "Authentication is required."),
        ("return None", 401, "Authentication is required."),
        ("raise KeyError('a secret')", 500, "The server's authentication handlers failed."),
        ("return {'permissions': []}", 500, "The server's authentication handlers failed."),
        ("return {'identity': ''}", 500, "The server's authentication handlers failed."),
        ("return 7", 500, "The server's authentication handlers failed."),
    ],
)
def test_somebody_is_turned_away_in_the_handlers_words_and_never_in_an_exceptions(
    tmp_path: Path, body: str, status: int, detail: str
) -> None:
    with pytest.raises(Refused) as refused:
        authenticating(tmp_path, "headers", body)
    assert (refused.value.status, refused.value.detail) == (status, detail)


@pytest.mark.parametrize("code", ["auth = 7", "auth = (", "del auth"])
def test_handlers_that_cannot_be_opened_let_nobody_in(tmp_path: Path, code: str) -> None:
    with pytest.raises(Refused) as refused:
        asyncio.run(auth.authenticate(handlers(tmp_path, code), FACTS))
    assert refused.value.status == 500


def test_which_handlers_there_are_can_be_told(tmp_path: Path) -> None:
    code = on("return True") + on("return True", "auth.on.threads") + on("return True", "auth.on.store.put")
    told = asyncio.run(auth.described(handlers(tmp_path, code)))
    assert told["authenticates"] is False
    assert sorted(told["handlers"]) == ["*.*", "store.put", "threads.*"]


# -- what --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "must"),
    [
        ("return None", None),
        ("return True", None),
        ("return {'owner': ctx.user.identity}", {"owner": "ann"}),
        ("return {'owner': {'$eq': ctx.user['identity']}}", {"owner": "ann"}),
        ("return {'team': {'$contains': ctx.user.team}}", {"team": ["red"]}),
        ("return {'team': {'$contains': ['red', 'blue']}, 'level': 3}", {"team": ["red", "blue"], "level": 3}),
    ],
)
def test_an_answer_is_a_condition_on_the_metadata(tmp_path: Path, told: str, must: Any) -> None:
    assert judged(tmp_path, on(told)).must == must


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ("return False", 403, "Forbidden"),
        ("raise HTTPException(status_code=409, detail='busy')", 409, "busy"),
        ("assert ctx.permissions == ['admin'], 'a secret'", 403, "Forbidden"),
        ("raise ValueError('a secret')", 500, "The server's authentication handlers failed."),
        ("return 7", 500, "The server's authentication handlers failed."),
        ("return {'owner': {'$regex': 'a'}}", 500, "The server's authentication handlers failed."),
        ("return {'owner': {'nested': {}}}", 500, "The server's authentication handlers failed."),
        ("return {'owner': ['ann']}", 500, "The server's authentication handlers failed."),
        ("return {'team': {'$contains': [{}]}}", 500, "The server's authentication handlers failed."),
    ],
)
def test_an_action_is_refused_in_the_handlers_words(tmp_path: Path, body: str, status: int, detail: str) -> None:
    with pytest.raises(Refused) as refused:
        judged(tmp_path, on(body))
    assert (refused.value.status, refused.value.detail) == (status, detail)


@pytest.mark.parametrize(
    ("which", "resource", "action", "asked"),
    [
        ("auth.on.threads.create", "threads", "create", True),
        ("auth.on.threads.create", "threads", "read", False),
        ("auth.on.threads.create_run", "threads", "create_run", True),
        ("auth.on.threads", "threads", "delete", True),
        ("auth.on.threads", "assistants", "read", False),
        ("auth.on.assistants.search", "assistants", "search", True),
        ("auth.on.crons.update", "crons", "update", True),
        ("auth.on.store", "store", "list_namespaces", True),
        ("auth.on.store.put", "store", "put", True),
        ("auth.on.store.put", "store", "get", False),
        ("auth.on(resources=['threads', 'crons'], actions=['read', 'search'])", "crons", "search", True),
        ("auth.on(actions='delete')", "assistants", "delete", True),
        ("auth.on", "crons", "create", True),
    ],
)
def test_the_handler_of_a_resource_and_an_action_is_asked(tmp_path: Path, which: str, resource: str, action: str, asked: bool) -> None:
    verdict = judged(tmp_path, on("return {'asked': f'{ctx.resource}.{ctx.action}'}", which), resource=resource, action=action)
    assert verdict.must == ({"asked": f"{resource}.{action}"} if asked else None)


def test_the_most_particular_handler_is_asked_alone(tmp_path: Path) -> None:
    code = on("return False") + on("return False", "auth.on.threads") + on("return {'by': 'create'}", "auth.on.threads.create")
    assert judged(tmp_path, code).must == {"by": "create"}


def test_what_a_handler_writes_into_the_value_comes_back(tmp_path: Path) -> None:
    value = {"thread_id": "0199a1fa-0000-7000-8000-000000000000", "metadata": {"a": 1}}
    body = "assert isinstance(value['thread_id'], uuid.UUID); value.setdefault('metadata', {})['owner'] = ctx.user.identity"
    assert judged(tmp_path, on(body), value=value).value == {**value, "metadata": {"a": 1, "owner": "ann"}}


def test_a_namespace_is_a_tuple_and_may_be_moved(tmp_path: Path) -> None:
    body = "value['namespace'] = (ctx.user.identity, *value['namespace']) if isinstance(value['namespace'], tuple) else 0"
    assert judged(tmp_path, on(body, "auth.on.store"), resource="store", action="put", value={"namespace": ["x"]}).value == {
        "namespace": ["ann", "x"]
    }


def test_handlers_that_changed_count_at_once(tmp_path: Path) -> None:
    assert judged(tmp_path, on("return None")).must is None
    assert judged(tmp_path, on("return {'owner': ctx.user.identity}")).must == {"owner": "ann"}
