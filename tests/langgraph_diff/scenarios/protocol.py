"""What both servers are asked in the thread protocol: commands, and the events that are kept of a thread."""

from __future__ import annotations

from tests.langgraph_diff.scenarios.steps import HELLO, command, get, post, replay, thread, until

PROTOCOL = (
    thread(),
    command("run.start", "run.start", {"assistant_id": "steps", "input": {"name": "x"}}, keep={"run": "result.run_id"}),
    until("ended", "success"),
    replay("values and lifecycle", '"completed"', ["values", "lifecycle"]),
    replay("lifecycle alone", '"completed"', ["lifecycle"]),
    command("second run", "run.start", {"assistant_id": "steps", "input": {"name": "again"}}, id=2, keep={"run": "result.run_id"}),
    until("ended again", "success"),
    command("agent.getTree", "agent.getTree", {}, id=3),
    command("unknown method", "nope", {}, id=4),
    command("respond where nobody asked", "input.respond", {"namespace": [], "interrupt_id": "x", "response": 1}, id=5),
    command("unknown assistant", "run.start", {"assistant_id": "nope", "input": {}}, id=6),
    command("no assistant", "run.start", {"input": {}}, id=7),
    post("no id", "/threads/{thread}/commands", {"method": "run.start", "params": {}}),
    post("no method", "/threads/{thread}/commands", {"id": 1}),
    post("no JSON", "/threads/{thread}/commands", raw="{"),
    post("unknown channel", "/threads/{thread}/stream/events", {"channels": ["nope"]}),
    post("no channels", "/threads/{thread}/stream/events", {}),
)

PROTOCOL_MESSAGES = (
    thread(),
    command("run.start", "run.start", {"assistant_id": "fake", "input": HELLO}, keep={"run": "result.run_id"}),
    until("ended", "success"),
    replay("messages", '"completed"', ["messages", "lifecycle"]),
    replay("values", '"completed"', ["values", "lifecycle"]),
)

PROTOCOL_ASKING = (
    thread(),
    command("run.start", "run.start", {"assistant_id": "ask", "input": {"question": "Why?"}}),
    get("asked", "/threads/{thread}/state", until=("next", ["ask"]), keep={"interrupt": "interrupts.0.id"}),
    get("waiting", "/threads/{thread}", until=("status", "interrupted")),
    replay("what is asked", '"interrupted"', ["input", "lifecycle"]),
    command("respond", "input.respond", {"namespace": [], "interrupt_id": "{interrupt}", "response": "so"}, id=2),
    get("answered", "/threads/{thread}", until=("status", "idle")),
    replay("to the end", '"completed"', ["input", "lifecycle"]),
)

PROTOCOL_INSIDE = (
    thread(),
    command("run.start", "run.start", {"assistant_id": "sub", "input": {"name": "x"}}, keep={"run": "result.run_id"}),
    until("ended", "success"),
    replay("the root alone", '"completed"', ["values", "lifecycle"], namespaces=[[]], depth=0),
    thread("failed"),
    command("run.start of a failing one", "run.start", {"assistant_id": "failing", "input": {"name": "x"}}, on="failed"),
    get("failed thread", "/threads/{failed}", until=("status", "error")),
    post("its events", "/threads/{failed}/stream/events", {"channels": ["values", "lifecycle"]}, stop='"failed"'),
)
