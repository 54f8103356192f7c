"""The store's door: what programs remember, in namespaces, each owner by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.accounts.factories import Person, new_person

ITEMS = "/store/items"
SEARCH = "/store/items/search"
NAMESPACES = "/store/namespaces"
NUL = "\x00"


@pytest.fixture
def anna(app: Flask) -> Person:
    return new_person(app, "anna@example.com")


@pytest.fixture
def ben(app: Flask, anna: Person) -> Person:
    return new_person(app, "ben@example.com")


def put(who: Person, namespace: list[str], key: str, value: Any, **more: Any) -> TestResponse:
    return who.put(ITEMS, json={"namespace": namespace, "key": key, "value": value, **more})


def read(who: Person, namespace: str, key: str, **more: Any) -> Any:
    answer = who.get(ITEMS, query_string={"namespace": namespace, "key": key, **more})
    assert answer.status_code == 200, answer.text
    return answer.json


def search(who: Person, **asked: Any) -> list[Any]:
    answer = who.post(SEARCH, json=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json["items"])


def keys(who: Person, **asked: Any) -> list[str]:
    return [item["key"] for item in search(who, **asked)]


def namespaces(who: Person, **asked: Any) -> list[list[str]]:
    answer = who.post(NAMESPACES, json=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json["namespaces"])


def test_what_was_put_is_read_back_as_it_was(anna: Person) -> None:
    value = {"x": 1, "f": 1.5, "t": "hello", "n": {"m": [1, {"z": None}]}, "yes": True}
    assert put(anna, ["a", "b"], "k", value).status_code == 204
    item = read(anna, "a.b", "k")
    assert item["value"] == value
    assert (item["namespace"], item["key"]) == (["a", "b"], "k")
    assert sorted(item) == ["created_at", "key", "namespace", "updated_at", "value"]


def test_an_item_that_is_not_there_is_null(anna: Person) -> None:
    put(anna, ["a", "b"], "k", {})
    assert [read(anna, "a", "k"), read(anna, "a.b", "other"), read(anna, "a.b.c", "k")] == [None, None, None]


def test_a_second_put_replaces_the_value_and_keeps_the_age(anna: Person) -> None:
    put(anna, ["a"], "k", {"x": 1, "y": 2})
    first = read(anna, "a", "k")
    put(anna, ["a"], "k", {"x": 5})
    second = read(anna, "a", "k")
    assert second["value"] == {"x": 5}
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] > first["updated_at"]


def test_a_deleted_item_is_gone_and_deleting_it_again_is_no_error(anna: Person) -> None:
    put(anna, ["a"], "k", {})
    for _ in range(2):
        assert anna.delete(ITEMS, json={"namespace": ["a"], "key": "k"}).status_code == 204
    assert read(anna, "a", "k") is None
    assert anna.delete(ITEMS, json={"key": "k"}).status_code == 204


def test_two_owners_with_the_same_namespace_never_meet(anna: Person, ben: Person) -> None:
    put(anna, ["a"], "k", {"whose": "anna"})
    assert read(ben, "a", "k") is None
    assert (search(ben, namespace_prefix=[]), namespaces(ben)) == ([], [])
    put(ben, ["a"], "k", {"whose": "ben"})
    ben.delete(ITEMS, json={"namespace": ["a"], "key": "k"})
    assert read(anna, "a", "k")["value"] == {"whose": "anna"}


@pytest.mark.parametrize(("method", "path"), [("PUT", ITEMS), ("GET", ITEMS), ("DELETE", ITEMS), ("POST", SEARCH), ("POST", NAMESPACES)])
def test_nobody_gets_in_without_showing_who_they_are(app: Flask, method: str, path: str) -> None:
    assert app.test_client().open(path, method=method, json={}).status_code == 401


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, {}),
        (400, {"namespace": [], "key": "k", "value": {}}),
        (400, {"namespace": ["langgraph"], "key": "k", "value": {}}),
        (422, {"namespace": ["a.b"], "key": "k", "value": {}}),
        (422, {"namespace": [""], "key": "k", "value": {}}),
        (422, {"namespace": "a", "key": "k", "value": {}}),
        (422, {"namespace": [1], "key": "k", "value": {}}),
        (422, {"namespace": ["a"], "key": 1, "value": {}}),
        (422, {"namespace": ["a"], "value": {}}),
        (422, {"namespace": ["a"], "key": "k"}),
        (422, {"namespace": ["a"], "key": "k", "value": None}),
        (422, {"namespace": ["a"], "key": "k", "value": []}),
        (422, {"namespace": ["a"], "key": "k", "value": "text"}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "index": True}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "index": "x"}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "index": [1]}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "index": ["x"] * 65}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "ttl": "x"}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "ttl": 0}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "ttl": -1}),
        (422, {"namespace": ["a"], "key": "k", "value": {}, "ttl": 1e300}),
        (422, {"namespace": ["x" * 1100], "key": "k", "value": {}}),
        (422, {"namespace": ["é"] * 600, "key": "k", "value": {}}),
        (422, {"namespace": ["a"], "key": "k" * 1100, "value": {}}),
        (422, {"namespace": ["a"], "key": NUL, "value": {}}),
        (422, {"namespace": [NUL], "key": "k", "value": {}}),
        (422, {"namespace": ["a"], "key": "k", "value": {"x": NUL}}),
        (422, {"namespace": ["a"], "key": "k", "value": {NUL: 1}}),
        (413, {"namespace": ["a"], "key": "k", "value": {"x": "y" * 2**20}}),
    ],
)
def test_what_cannot_be_kept_is_refused_in_the_dialect_and_leaves_nothing(anna: Person, status: int, body: dict[str, Any]) -> None:
    answer = anna.put(ITEMS, json=body)
    assert answer.status_code == status, answer.text
    told: Any = answer.json
    assert told["detail"] == told["message"]
    assert told["error"]
    assert namespaces(anna) == []


@pytest.mark.parametrize("text", [b"", b"nope", b"[1]", b'{"namespace":["a"],"key":"k","value":{"x":NaN}}', b"\xff", b'{"key":"\\ud800"}'])
def test_a_body_that_is_no_object_is_a_refusal(anna: Person, text: bytes) -> None:
    answer = anna.put(ITEMS, data=text, content_type="application/json")
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(("depth", "status"), [(230, 204), (250, 422), (400, 422), (100_000, 422)])
def test_a_value_can_be_as_deep_as_an_answer_can_say(anna: Person, depth: int, status: int) -> None:
    text = '{"namespace":["a"],"key":"k","value":' + '{"d":' * depth + "1" + "}" * depth + "}"
    assert anna.put(ITEMS, data=text, content_type="application/json").status_code == status
    assert len(search(anna, namespace_prefix=["a"])) == (status == 204)


def test_a_value_is_kept_to_the_last_allowed_byte(anna: Person) -> None:
    fits = {"x": "y" * (2**20 - len(json.dumps({"x": ""}, separators=(",", ":"))))}
    assert put(anna, ["a"], "k", fits).status_code == 204
    assert read(anna, "a", "k")["value"] == fits


@pytest.mark.parametrize(
    ("namespace", "key"), [(["ü", "😀"], "ключ/ x"), (["a b", "-", "%_"], "*"), (["a"], "k\n\t"), (["langgraphs"], "%")]
)
def test_names_of_any_script_are_names(anna: Person, namespace: list[str], key: str) -> None:
    assert put(anna, namespace, key, {"é": "日本"}).status_code == 204
    assert read(anna, ".".join(namespace), key)["value"] == {"é": "日本"}
    assert namespaces(anna, prefix=namespace) == namespaces(anna, suffix=namespace) == [namespace]
    assert keys(anna, namespace_prefix=namespace) == [key]


def test_an_empty_key_can_be_put_and_found_but_not_asked_for(anna: Person) -> None:
    assert put(anna, ["a"], "", {}).status_code == 204
    assert keys(anna, namespace_prefix=["a"]) == [""]
    answer = anna.get(ITEMS, query_string={"namespace": "a"})
    assert (answer.status_code, answer.json["detail"]) == (400, "Key is required")


@pytest.mark.parametrize("namespace", [None, "", "a..b", ".", "x" * 2000])
def test_reading_from_a_namespace_that_is_none_is_refused(anna: Person, namespace: str | None) -> None:
    asked = {"key": "k"} if namespace is None else {"key": "k", "namespace": namespace}
    assert anna.get(ITEMS, query_string=asked).status_code == 422


# -- search ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(anna: Person) -> Person:
    """Twelve items in three namespaces, and one beside them."""
    for number in range(12):
        value = {"i": number, "tag": "odd" if number % 2 else "even", "n": {"d": number, "e": 0}, "f": number / 2, "flag": number % 2 == 0}
        assert put(anna, ["s", str(number % 3)], f"k{number}", value).status_code == 204
    put(anna, ["s-x", "0"], "beside", {"i": 3})
    return anna


def test_a_search_gives_ten_items_by_namespace_and_age(shelf: Person) -> None:
    assert keys(shelf, namespace_prefix=["s"]) == ["k0", "k3", "k6", "k9", "k1", "k4", "k7", "k10", "k2", "k5"]
    assert all(item["score"] is None for item in search(shelf, namespace_prefix=["s"]))


def test_pages_follow_each_other_without_a_gap(shelf: Person) -> None:
    pages = [keys(shelf, namespace_prefix=["s"], limit=5, offset=at) for at in (0, 5, 10, 15)]
    assert [len(page) for page in pages] == [5, 5, 2, 0]
    assert len({key for page in pages for key in page}) == 12


def test_a_prefix_is_of_whole_labels(shelf: Person) -> None:
    assert keys(shelf, namespace_prefix=["s", "1"]) == ["k1", "k4", "k7", "k10"]
    assert len(keys(shelf, limit=100)) == 13
    assert keys(shelf, namespace_prefix=["s-"]) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"i": 3}, ["k3"]),
        ({"i": 3.0}, ["k3"]),
        ({"i": "3"}, []),
        ({"i": {"$gt": 9}}, ["k10", "k11"]),
        ({"i": {"$gte": 9, "$lt": 11}}, ["k9", "k10"]),
        ({"i": {"$lte": 1}}, ["k0", "k1"]),
        ({"i": {"$eq": 4}}, ["k4"]),
        ({"i": 4, "tag": "even"}, ["k4"]),
        ({"i": 4, "tag": "odd"}, []),
        ({"tag": {"$ne": "odd"}, "i": {"$lt": 3}}, ["k0", "k2"]),
        ({"tag": {"$gt": "even"}, "i": {"$lt": 4}}, ["k3", "k1"]),
        ({"i": {"$gt": "a"}}, []),
        ({"n": {"d": 3}}, ["k3"]),
        ({"n": {"d": {"$gt": 9}}}, ["k10", "k11"]),
        ({"n": {"$eq": {"d": 3}}}, []),
        ({"n": {"$eq": {"e": 0, "d": 3}}}, ["k3"]),
        ({"f": 1.5}, ["k3"]),
        ({"flag": True, "i": {"$lt": 3}}, ["k0", "k2"]),
        ({"missing": None, "i": 7}, ["k7"]),
        ({"missing": {"$ne": 1}, "i": 7}, ["k7"]),
        ({"missing": {"$gt": 1}}, []),
        ({"missing": {}}, []),
        ({"tag": ["odd"]}, []),
        ({"'; DROP TABLE memory_items; --": 1}, []),
    ],
)
def test_a_filter_lets_through_what_it_says(shelf: Person, wanted: dict[str, Any], found: list[str]) -> None:
    assert keys(shelf, namespace_prefix=["s"], filter=wanted) == found


@pytest.mark.parametrize(
    "wanted",
    [
        {"i": {"$nope": 3}},
        {"i": {"$gt": None}},
        {"i": {"$gt": True}},
        {"i": {"$gt": [1]}},
        {"i": {"$gt": 1, "other": 2}},
        {str(n): n for n in range(65)},
        {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}},
    ],
)
def test_a_filter_that_means_nothing_is_refused(shelf: Person, wanted: dict[str, Any]) -> None:
    assert shelf.post(SEARCH, json={"namespace_prefix": ["s"], "filter": wanted}).status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": -1},
        {"limit": 1001},
        {"limit": "2"},
        {"offset": -1},
        {"offset": 10**9},
        {"filter": "x"},
        {"filter": {"x": NUL}},
        {"filter": {"x": "y" * 10_001}},
        {"query": 1},
        {"query": "x" * 10_001},
        {"query": "x", "offset": 2000},
        {"namespace_prefix": ["s.x"]},
        {"namespace_prefix": [""]},
        {"namespace_prefix": "s"},
    ],
)
def test_a_search_that_cannot_be_meant_is_refused(shelf: Person, asked: dict[str, Any]) -> None:
    assert shelf.post(SEARCH, json={"namespace_prefix": ["s"], **asked}).status_code == 422


def test_nulls_and_unknown_fields_count_as_left_out(shelf: Person) -> None:
    nulls = {"namespace_prefix": None, "filter": None, "query": None, "refresh_ttl": None, "limit": None, "offset": None, "other": 1}
    assert len(search(shelf, **nulls)) == 10
    assert len(search(shelf, query="", limit=0)) == 10


def test_without_an_index_a_query_changes_nothing(shelf: Person) -> None:
    assert keys(shelf, namespace_prefix=["s", "0"], query="odd") == ["k0", "k3", "k6", "k9"]


# -- namespaces --------------------------------------------------------------------------------------------------------


@pytest.fixture
def places(anna: Person) -> Person:
    for namespace in (["a"], ["a", "b"], ["s", "0"], ["s", "0", "deep", "x"], ["s", "1"], ["s", "2"], ["sx", "1"]):
        put(anna, namespace, "k", {})
        put(anna, namespace, "l", {})
    return anna


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["a", "a.b", "s.0", "s.0.deep.x", "s.1", "s.2", "sx.1"]),
        ({"prefix": ["s"]}, ["s.0", "s.0.deep.x", "s.1", "s.2"]),
        ({"suffix": ["1"]}, ["s.1", "sx.1"]),
        ({"prefix": ["s"], "max_depth": 1}, ["s"]),
        ({"max_depth": 2}, ["a", "a.b", "s.0", "s.1", "s.2", "sx.1"]),
        ({"limit": 1}, ["a"]),
        ({"limit": 1, "offset": 1}, ["a.b"]),
        ({"limit": 0}, []),
        ({"prefix": ["s", "*"]}, ["s.0", "s.0.deep.x", "s.1", "s.2"]),
        ({"prefix": ["*", "0"]}, ["s.0", "s.0.deep.x"]),
        ({"prefix": ["s", "*", "deep"]}, ["s.0.deep.x"]),
        ({"suffix": ["deep", "*"]}, ["s.0.deep.x"]),
        ({"suffix": ["b"], "prefix": ["a"]}, ["a.b"]),
        ({"prefix": [], "suffix": []}, ["a", "a.b", "s.0", "s.0.deep.x", "s.1", "s.2", "sx.1"]),
        ({"prefix": ["nope"]}, []),
        ({"prefix": ["[^x]*"]}, []),
        ({"suffix": [r"\w"]}, []),
    ],
)
def test_namespaces_are_listed_in_order_each_once(places: Person, asked: dict[str, Any], found: list[str]) -> None:
    assert [".".join(each) for each in namespaces(places, **asked)] == found


@pytest.mark.parametrize(
    "asked", [{"prefix": "s"}, {"prefix": ["s.0"]}, {"suffix": [""]}, {"max_depth": 0}, {"limit": -1}, {"limit": 1001}]
)
def test_a_list_of_namespaces_that_cannot_be_meant_is_refused(anna: Person, asked: dict[str, Any]) -> None:
    assert anna.post(NAMESPACES, json=asked).status_code == 422


# -- lifetimes ---------------------------------------------------------------------------------------------------------


def test_an_item_with_a_life_says_how_long_and_until_when(anna: Person) -> None:
    put(anna, ["a"], "k", {}, ttl=1.5)
    item = read(anna, "a", "k")
    assert item["ttl"] == 1.5
    assert item["expires_at"] > item["updated_at"]
    put(anna, ["a"], "k", {})
    assert "expires_at" not in read(anna, "a", "k")


@pytest.mark.parametrize("refreshes", [True, False])
def test_reading_prolongs_a_life_unless_it_is_told_not_to(anna: Person, refreshes: bool) -> None:
    put(anna, ["a"], "k", {}, ttl=1)
    first = read(anna, "a", "k", refresh_ttl="false")["expires_at"]
    read(anna, "a", "k", refresh_ttl=str(refreshes).lower())
    search(anna, namespace_prefix=["a"], refresh_ttl=refreshes)
    assert (read(anna, "a", "k", refresh_ttl="false")["expires_at"] > first) == refreshes
