"""A run from its start to its result, with LangGraph's own client: pip install langgraph-sdk."""

from __future__ import annotations

import asyncio
import os
import time

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError

URL = os.environ.get("PARLEY_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PARLEY_API_KEY")  # none: the server runs with AUTH=open
MESSAGE = {"role": "user", "content": "Hello from the SDK"}


async def main() -> None:
    """Start a run on a thread of our own naming, follow it over a broken connection, and read what it left."""
    client = get_client(url=URL, api_key=KEY)
    thread_id = f"example-thread-{time.time_ns()}"
    run = await client.runs.create(
        thread_id,
        "echo",
        input={"messages": [MESSAGE]},
        stream_mode=["values", "messages-tuple"],
        if_not_exists="create",
    )
    print(f"run {run['run_id']} on {thread_id}: {run['status']}")

    last_id = None
    async for part in client.runs.join_stream(thread_id, run["run_id"]):
        print(part.id, part.event)
        last_id = part.id
        break  # the connection is lost after the first event
    async for part in client.runs.join_stream(thread_id, run["run_id"], last_event_id=last_id):
        print(part.id, part.event)

    run = await client.runs.get(thread_id, run["run_id"])
    state = await client.threads.get_state(thread_id)
    print(f"{run['status']}: {state['values']['messages'][-1]['content']}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except httpx.ConnectError:
        raise SystemExit(f"No server answers at {URL}.") from None
    except APIStatusError as refused:
        raise SystemExit(f"{refused.response.status_code}: {refused.response.text}") from None
