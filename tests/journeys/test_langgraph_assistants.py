"""What an assistant's graph looks like, asked by the SDK, answered by a worker that has the agents' code."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError

from server.agents.assistants import system_id
from tests.stack import Stack
from tests.talk import Person


@pytest.fixture(scope="module")
def sdk(agents: Stack, ada: Person) -> SyncLangGraphClient:
    return get_sync_client(url=agents.base_url, headers={"Authorization": f"Bearer {ada.tokens['access_token']}"})


def test_a_graph_is_drawn_by_its_name_or_an_assistants_id(sdk: SyncLangGraphClient) -> None:
    created = sdk.assistants.create("steps")
    drawings = [sdk.assistants.get_graph(known, xray=xray) for known in ("steps", created["assistant_id"]) for xray in (False, True, 1)]
    assert drawings[0]["nodes"][0]["id"] == "__start__"
    assert all(drawing == drawings[0] for drawing in drawings)


def test_schemas_and_subgraphs_are_told(sdk: SyncLangGraphClient) -> None:
    known = str(system_id("slow"))
    schemas: Any = sdk.assistants.get_schemas(known)
    assert schemas["graph_id"] == "slow"
    assert "messages" in schemas["input_schema"]["properties"]
    assert sdk.assistants.get_subgraphs(known) == sdk.assistants.get_subgraphs(known, "nope", recurse=True) == {}


def test_a_graph_that_cannot_be_opened_is_a_conflict(sdk: SyncLangGraphClient) -> None:
    known = str(system_id("broken"))
    for verb in (sdk.assistants.get_graph, sdk.assistants.get_schemas, sdk.assistants.get_subgraphs):
        with pytest.raises(ConflictError, match=r"The graph cannot be opened: broken: agents\.py has no 'nothing'"):
            verb(known)
