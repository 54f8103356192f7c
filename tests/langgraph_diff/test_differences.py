"""The same requests to both servers: our answers are those recorded of the reference server, but for what is listed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.langgraph_diff.comparing import Difference, Found, compared
from tests.langgraph_diff.differences import DIFFERENCES
from tests.langgraph_diff.playing import Scenario, play
from tests.langgraph_diff.record import recorded
from tests.langgraph_diff.scenarios import SCENARIOS
from tests.stack import Stack
from tests.talk import Person

CONFIG = Path(__file__).parent / "agents" / "langgraph.json"


class Side:
    """Our side of the comparison: a running server and somebody with a key."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        key = Person(base_url).call("POST", "/user/api_key", json={"name": "differences"})["api_key"]
        self._headers = {"X-Api-Key": key}
        self.differing = cache(self._differing)

    def _differing(self, scenario: Scenario) -> tuple[Found, ...]:
        """Where our answers are not the reference's. Played once."""
        ours = play(scenario, self._base_url, self._headers)
        return tuple(compared(scenario.name, recorded(scenario.name), ours))


@pytest.fixture(scope="module")
def ours() -> Iterator[Side]:
    """Our server with the agents that the reference server had."""
    stack = Stack.started(AGENTS_CONFIG=str(CONFIG))
    try:
        yield Side(stack.base_url)
    finally:
        stack.stop()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_our_answers_are_the_references_but_for_what_is_listed(ours: Side, scenario: Scenario) -> None:
    unexplained = [found for found in ours.differing(scenario) if not any(each.explains(found) for each in DIFFERENCES)]
    assert unexplained == [], "\n".join(["not listed in differences.py:", *map(str, unexplained)])


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: f"{difference.scenario} {difference.step} {difference.place}")
def test_each_listed_difference_is_there(ours: Side, difference: Difference) -> None:
    assert any(difference.explains(found) for scenario in SCENARIOS for found in ours.differing(scenario)), difference.why


def test_the_steps_of_a_scenario_have_names_of_their_own() -> None:
    for scenario in SCENARIOS:
        names = [step.name for step in scenario.steps]
        assert len(set(names)) == len(names), scenario.name
