"""The words in which scenarios are written: one function for each kind of step."""

from __future__ import annotations

from typing import Any

from tests.langgraph_diff.playing import Step

NOBODY = "019f0000-0000-7000-8000-000000000000"
HELLO = {"messages": [{"role": "user", "content": "hi", "id": "m-1"}]}
SYSTEM = {"ask": "a457ba2f-c0dc-56e6-817d-ddf904d1e526", "steps": "01d10e59-d4b4-51ec-8e94-9b2716b34de8"}


def get(name: str, path: str, **more: Any) -> Step:
    """A step that reads."""
    return Step(name, "GET", path, **more)


def post(name: str, path: str, body: Any = None, **more: Any) -> Step:
    """A step that posts JSON."""
    return Step(name, "POST", path, body, **more)


def patch(name: str, path: str, body: Any, **more: Any) -> Step:
    """A step that changes something."""
    return Step(name, "PATCH", path, body, **more)


def put(name: str, path: str, body: Any) -> Step:
    """A step that puts something."""
    return Step(name, "PUT", path, body)


def delete(name: str, path: str, body: Any = None) -> Step:
    """A step that deletes something."""
    return Step(name, "DELETE", path, body)


def thread(name: str = "thread", *, called: str = "", **body: Any) -> Step:
    """A step that makes a thread and keeps its id."""
    return post(f"make {called or name}", "/threads", body, keep={name: "thread_id"})


def run(name: str, agent: str, *, on: str = "thread", how: str = "wait", **body: Any) -> Step:
    """A step that runs an agent on a thread: to its end, or as a stream."""
    return post(name, f"/threads/{{{on}}}/runs/{how}", {"assistant_id": agent, **body})


def stream(name: str, agent: str, *modes: str, on: str = "thread", **body: Any) -> Step:
    """A step that runs an agent and follows it in these modes."""
    return run(name, agent, on=on, how="stream", stream_mode=list(modes), **body)


def start(name: str, agent: str, *, on: str = "thread", kept: str = "run", **body: Any) -> Step:
    """A step that starts a run in the background and keeps its id."""
    return post(name, f"/threads/{{{on}}}/runs", {"assistant_id": agent, **body}, keep={kept: "run_id"})


def until(name: str, status: str, *, run: str = "run") -> Step:
    """A step that waits until a run has this status."""
    return get(name, f"/threads/{{thread}}/runs/{{{run}}}", until=("status", status))


def on_threads(*steps: Step) -> tuple[Step, ...]:
    """Steps, each on a thread of its own."""
    return tuple(each for step in steps for each in (thread_for(step), step))


def thread_for(step: Step) -> Step:
    """A step that makes the thread which another is to use."""
    return post(f"a thread for: {step.name}", "/threads", {}, keep={"thread": "thread_id"})


def command(name: str, method: str, params: Any, *, id: int = 1, on: str = "thread", **more: Any) -> Step:
    """A step that sends a command of the thread protocol."""
    return post(name, f"/threads/{{{on}}}/commands", {"id": id, "method": method, "params": params}, **more)


def replay(name: str, stop: str, channels: list[str], **more: Any) -> Step:
    """A step that reads a thread's kept events of some channels, up to one."""
    return post(name, "/threads/{thread}/stream/events", {"channels": channels, **more}, stop=stop)
