"""A run from its start to its result, with nothing but HTTP: pip install httpx."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx

URL = os.environ.get("PARLEY_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PARLEY_API_KEY")  # none: the server runs with AUTH=open
TRIES = 5


def events(answer: httpx.Response) -> Iterator[dict[str, str]]:
    """The events of a stream, each with its id, its name and its data. Heartbeats are comments and left out."""
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")


def followed(http: httpx.Client, path: str, *, breaks_after: int | None = None) -> Iterator[dict[str, str]]:
    """Every event of a run, once, however often the connection breaks.

    breaks_after: hang up ourselves after so many events, to show that nothing is lost.
    """
    last_id: str | None = None
    for _ in range(TRIES):
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            with http.stream("GET", path, headers=headers, timeout=httpx.Timeout(10, read=15)) as answer:
                answer.raise_for_status()
                for number, event in enumerate(events(answer), start=1):
                    last_id = event["id"]
                    yield event
                    if event["event"] in ("end", "error"):
                        return
                    if number == breaks_after:
                        breaks_after = None
                        break
        except httpx.TransportError:
            time.sleep(1)
    raise SystemExit("The stream broke too often.")


def main() -> None:
    """Start a run on a thread of our own naming, follow it, and read what it left."""
    with httpx.Client(base_url=URL, headers={"X-Api-Key": KEY} if KEY else {}) as http:
        path = f"/threads/example-thread-{time.time_ns()}/runs"
        wanted: dict[str, Any] = {
            "assistant_id": "echo",
            "input": {"messages": [{"role": "user", "content": "Hello over HTTP"}]},
            "stream_mode": ["values", "messages-tuple"],
            "if_not_exists": "create",
        }
        answer = http.post(path, json=wanted, headers={"Idempotency-Key": path}).raise_for_status()
        run = answer.json()
        print(f"run {run['run_id']} on {run['thread_id']}: {run['status']}")

        for event in followed(http, f"{path}/{run['run_id']}/stream", breaks_after=1):
            print(event["id"], event["event"], json.dumps(json.loads(event["data"]))[:100])

        run = http.get(f"{path}/{run['run_id']}").raise_for_status().json()
        print(f"{run['status']}: {run['output']['messages'][-1]['content']}")


if __name__ == "__main__":
    try:
        main()
    except httpx.ConnectError:
        raise SystemExit(f"No server answers at {URL}.") from None
    except httpx.HTTPStatusError as refused:
        raise SystemExit(f"{refused.response.status_code}: {refused.response.read().decode()}") from None
