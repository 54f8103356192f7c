"""The parts that compute: texts of a value, hashed n-grams, signs, and vectors as they are stored."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from server.agents.memory import ngrams
from server.agents.memory.rules import end_of, namespace_of, path_of
from server.agents.memory.texts import MAX_TEXTS, texts_at
from server.agents.memory.vectors import nearness, packed, signs

VALUE = {
    "title": "T",
    "n": 3,
    "yes": True,
    "none": None,
    "blank": " ",
    "author": {"name": "Ann", "age": 7},
    "tags": ["a", "b"],
    "notes": [{"text": "one"}, {"text": "two"}, {"other": "x"}],
    "deep": {"list": [[{"x": "y"}]]},
}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("title", ["T"]),
        ("$.title", ["T"]),
        ("n", ["3"]),
        ("yes", ["True"]),
        ("none", []),
        ("blank", []),
        ("missing", []),
        ("author.name", ["Ann"]),
        ("author", ['{"age":7,"name":"Ann"}']),
        ("author.*", ["Ann", "7"]),
        ("tags[0]", ["a"]),
        ("tags[-1]", ["b"]),
        ("tags[2]", []),
        ("tags[-3]", []),
        ("tags[*]", ["a", "b"]),
        ("tags.*", ["a", "b"]),
        ("notes[*].text", ["one", "two"]),
        ("notes[1].text", ["two"]),
        ("deep.list[0][0].x", ["y"]),
        ("{title,author.name}", ["T", "Ann"]),
        ("notes[0].{text,other}", ["one"]),
        ("title.more", []),
        ("title[0]", []),
        ("[0]", []),
        ("[999999999999999999999]", []),
        ("{}", []),
    ],
)
def test_a_path_leads_to_texts(path: str, texts: list[str]) -> None:
    assert texts_at(VALUE, [path]) == texts


def test_the_whole_value_is_one_text_and_paths_add_up() -> None:
    assert texts_at({"b": 1, "a": "ü"}, ["$", "a"]) == ['{"a":"ü","b":1}', "ü"]


def test_a_value_has_a_bounded_number_of_texts() -> None:
    assert len(texts_at({"x": [str(n) for n in range(10_000)]}, ["x[*]", "x[*]"])) == MAX_TEXTS


@pytest.mark.parametrize("namespace", [(), ("a",), ("a", "b"), ("ü", "😀", " ")])
def test_a_path_is_a_namespace_and_back(namespace: tuple[str, ...]) -> None:
    assert namespace_of(path_of(namespace)) == namespace


def test_what_begins_with_a_path_is_before_its_end_and_nothing_else_is() -> None:
    prefix = path_of(("a", "b"))
    inside = [path_of(("a", "b")), path_of(("a", "b", "😀")), path_of(("a", "b", "\x01"))]
    outside = [path_of(("a",)), path_of(("a", "b-")), path_of(("a", "bb")), path_of(("a", "c")), path_of(("a", "B"))]
    assert all(prefix.encode() <= path.encode() < end_of(prefix).encode() for path in inside)
    assert not any(prefix.encode() <= path.encode() < end_of(prefix).encode() for path in outside)


def near(one: str, other: str) -> float:
    [first, second] = ngrams.embedded([one, other], 512)
    return nearness([packed([first])], second)[0]


def test_a_text_is_nearest_to_itself_then_to_its_own_words_then_to_others() -> None:
    scores = [near("The invoices of March", other) for other in ("the INVOICES of march!", "invoice in march", "my bicycle", "")]
    assert scores[0] == pytest.approx(1.0, abs=1e-6)
    assert all(more > less for more, less in pairwise(scores[:3]))
    assert scores[3] == 0.0


@pytest.mark.parametrize("text", ["", " ", "...", "\x00", "😀", "他喜欢喝绿茶", "x" * 100_000, "a\u0301"])
def test_any_text_has_a_vector_of_the_right_size(text: str) -> None:
    assert [len(vector) for vector in ngrams.embedded([text], 37)] == [37]


def test_signs_are_a_bit_above_zero_and_a_bit_below() -> None:
    assert signs([0.5, 0.0, -2.0]) == "100001"


def test_the_nearest_of_several_vectors_counts() -> None:
    stored: Any = [packed([[0.0, 3.0], [5.0, 0.0]]), packed([[-1.0, 0.0]]), packed([[0.0, 0.0]]), b""]
    assert nearness(stored, [2.0, 0.0]) == [1.0, -1.0, 0.0, 0.0]


def test_signs_find_what_an_exact_comparison_finds() -> None:
    chance = random.Random(7)
    vectors = [[chance.gauss(0, 1) for _ in range(256)] for _ in range(2000)]
    query = [a + 0.8 * b for a, b in zip(vectors[3], vectors[9], strict=True)]
    wanted = signs(query)
    alike = [sum(a == b == "1" for a, b in zip(signs(each), wanted, strict=True)) for each in vectors]
    first = sorted(range(2000), key=lambda n: -alike[n])[:150]
    exact = nearness([packed([each]) for each in vectors], query)
    assert {3, 9} == set(sorted(range(2000), key=lambda n: -exact[n])[:2])
    assert {3, 9} <= set(first)
