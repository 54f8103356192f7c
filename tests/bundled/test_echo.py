from __future__ import annotations

import pytest


def test_the_answer_is_what_was_sent_to_the_last_white_space(talk_to):
    text = "  two  spaces\nand a\ttab, then 🦜 words \n"
    assert talk_to("echo").say(text) == text


def test_the_answer_arrives_one_word_a_token(talk_to):
    echo = talk_to("echo")
    echo.say("one two three")
    assert echo.tokens == ["one ", "two ", "three"]


def test_a_conversation_goes_on_and_only_its_last_message_is_said_again(talk_to):
    echo = talk_to("echo")
    echo.say("first")
    assert echo.say("second") == "second"
    assert [message.text for message in echo.messages] == ["first", "first", "second", "second"]


def test_an_empty_message_has_an_empty_answer(talk_to):
    assert talk_to("echo").say("") == ""


@pytest.mark.parametrize("delay_s", [-1, 60, "soon"])
def test_a_delay_that_is_no_short_time_is_refused(talk_to, delay_s):
    echo = talk_to("echo")
    echo.configurable["delay_s"] = delay_s
    with pytest.raises(ValueError, match="delay_s is a number of seconds"):
        echo.say("hello")


def test_a_delay_slows_each_word_and_loses_none(talk_to):
    echo = talk_to("echo")
    echo.configurable["delay_s"] = 0.001
    assert echo.say("one two three") == "one two three"
