from __future__ import annotations

import pytest

from server.agents.dotenv import BadLine, parse


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("export NAME=value", "value"),
        ("  NAME = value  ", "value"),
        ("NAME=", ""),
        ("NAME=a b", "a b"),
        ("NAME=a # a comment", "a"),
        ("NAME=# a comment", ""),
        ("NAME=a#b", "a#b"),
        ("NAME=a=b", "a=b"),
        ("NAME='a # b'", "a # b"),
        ("NAME='a\\nb' # a comment", "a\\nb"),
        ('NAME="a # b"', "a # b"),
        ('NAME="a\\nb\\t\\"c\\""', 'a\nb\t"c"'),
        ('NAME=""', ""),
        ("NAME=$HOME", "$HOME"),
        ("\ufeffNAME=value", "value"),
        ("NAME=value\r", "value"),
    ],
)
def test_a_line_has_its_value(line, value):
    assert parse(line) == {"NAME": value}


def test_comments_and_empty_lines_are_passed_over_and_a_later_line_wins():
    assert parse("# first\n\nA=1\nB=2\nA=3\n") == {"A": "3", "B": "2"}


@pytest.mark.parametrize("line", ["NAME", "=value", "1NAME=value", "NA ME=value", "NAME='open", 'NAME="open', "NAME='a' b"])
def test_a_line_that_is_none_is_refused_by_its_number_without_its_text(line):
    with pytest.raises(BadLine, match="line 2") as raised:
        parse(f"SECRET=hidden\n{line}")
    assert "NAME" not in str(raised.value).replace("NAME=value", "")
