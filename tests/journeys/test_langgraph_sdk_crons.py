"""Crons as both clients of Python's SDK speak of them: every method, unmodified; and one that comes round."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from server.agents.assistants import system_id
from tests.journeys.sdk import CLIENTS, Sdk, refused, spoken
from tests.stack import Stack, eventually
from tests.talk import Person

YEARLY = "0 0 1 1 *"


@pytest.fixture(params=CLIENTS)
def sdk(request: pytest.FixtureRequest, ada: Person) -> Iterator[Sdk]:
    with spoken(request.param, ada) as client:
        yield client


def test_a_cron_is_made_found_changed_and_deleted(sdk: Sdk) -> None:
    mark = {"mark": uuid.uuid4().hex}
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=2000)
    made: Any = sdk.crons.create("slow", schedule=YEARLY, input={"messages": []}, metadata=mark, timezone="Europe/Berlin", end_time=end)
    asked = {"assistant_id": str(system_id("slow")), "metadata": mark}
    assert [cron["cron_id"] for cron in sdk.crons.search(**asked, enabled=True, sort_by="created_at", sort_order="desc")] == [
        made["cron_id"]
    ]
    assert sdk.crons.count(**asked) == 1
    changed = sdk.crons.update(made["cron_id"], schedule="@daily", enabled=False, metadata={"more": 1}, end_time=None)
    assert (changed["schedule"], changed["enabled"], changed["end_time"]) == ("@daily", False, None)
    assert changed["metadata"].items() >= {**mark, "more": 1}.items()
    sdk.crons.delete(made["cron_id"])
    assert sdk.crons.count(**asked) == 0


def test_a_cron_of_a_thread_is_found_by_it(sdk: Sdk) -> None:
    thread = sdk.threads.create(thread_id=f"cron-{uuid.uuid4().hex[:8]}")["thread_id"]
    made: Any = sdk.crons.create_for_thread(thread, "slow", schedule=YEARLY, input={"messages": []}, multitask_strategy="enqueue")
    assert (made["thread_id"], sdk.crons.search(thread_id=thread, select=["cron_id"])) == (thread, [{"cron_id": made["cron_id"]}])
    sdk.crons.delete(made["cron_id"])


def test_a_cron_that_can_never_come_round_is_refused(sdk: Sdk) -> None:
    refused(422, lambda: sdk.crons.create("slow", schedule="0 0 31 2 *"))
    refused(422, lambda: sdk.crons.create("slow", schedule=YEARLY, timezone="Nowhere/Atall"))


def test_a_cron_starts_runs_with_its_input(agents: Stack) -> None:
    with spoken("sync", Person(agents.base_url)) as sdk:
        given = {"messages": [{"role": "user", "content": "n=2"}]}
        thread = sdk.threads.create()["thread_id"]
        made: Any = sdk.crons.create_for_thread(thread, "slow", schedule="* * * * * *", input=given, metadata={"by": "cron"})
        ended = eventually(lambda: sdk.runs.list(thread, status="success"), what="a run of the cron")
        sdk.crons.delete(made["cron_id"])
        assert (ended[0]["metadata"]["by"], ended[0]["kwargs"]["config"]["configurable"]["cron_id"]) == ("cron", made["cron_id"])
        eventually(lambda: sdk.threads.get(thread)["status"] == "idle", what="the end of its runs")
        assert sdk.threads.get_state(thread)["values"]["messages"][1]["content"] == "1 2 "
