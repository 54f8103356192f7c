"""What both servers are asked about the state of a thread, and about runs that stop to wait for somebody."""

from __future__ import annotations

from tests.langgraph_diff.scenarios.steps import NOBODY, get, post, run, thread

STATE = (
    thread(),
    run("run", "steps", input={"name": "x"}, metadata={"mine": 1}),
    get("thread", "/threads/{thread}"),
    get("state", "/threads/{thread}/state", keep={"last": "checkpoint.checkpoint_id", "before": "parent_checkpoint.checkpoint_id"}),
    get("state before", "/threads/{thread}/state/{before}"),
    post("state at a checkpoint", "/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_id": "{before}", "checkpoint_ns": ""}}),
    post("state at no checkpoint", "/threads/{thread}/state/checkpoint", {}),
    get("state at an unknown checkpoint", f"/threads/{{thread}}/state/{NOBODY}"),
    get("state of nobody", f"/threads/{NOBODY}/state"),
    get("history", "/threads/{thread}/history?limit=10", keep={"third": "2.checkpoint.checkpoint_id"}),
    post("history, as many as by default", "/threads/{thread}/history", {}),
    post("history of two", "/threads/{thread}/history", {"limit": 2}),
    get("history before, by query", "/threads/{thread}/history?limit=1&before={before}"),
    post("history before", "/threads/{thread}/history", {"limit": 1, "before": {"configurable": {"checkpoint_id": "{before}"}}}),
    post("history by metadata", "/threads/{thread}/history", {"limit": 1, "metadata": {"step": 0}}),
    post("history, limit 0", "/threads/{thread}/history", {"limit": 0}),
    post("history, limit too high", "/threads/{thread}/history", {"limit": 1001}),
    post("history of nobody", f"/threads/{NOBODY}/history", {}),
    post("update", "/threads/{thread}/state", {"values": {"name": "new", "trail": ["said"]}, "as_node": "a"}),
    get("state then", "/threads/{thread}/state"),
    get("thread then", "/threads/{thread}"),
    post("update nothing", "/threads/{thread}/state", {"values": None, "as_node": "b"}),
    post("update as no node", "/threads/{thread}/state", {"values": {"name": "x"}, "as_node": "nope"}),
    post("update with a text", "/threads/{thread}/state", {"values": "x"}),
    post("update of nobody", f"/threads/{NOBODY}/state", {"values": {}}),
    post(
        "fork",
        "/threads/{thread}/state",
        {"values": {"name": "forked"}, "as_node": "a", "checkpoint_id": "{third}"},
        keep={"fork": "checkpoint_id"},
    ),
    run("run from the fork", "steps", input=None, checkpoint_id="{fork}"),
    run("run again from the past", "steps", input=None, checkpoint={"checkpoint_id": "{third}", "checkpoint_ns": ""}),
    post("copy", "/threads/{thread}/copy", keep={"copy": "thread_id"}),
    get("state of the copy", "/threads/{copy}/state"),
    get("runs of the copy", "/threads/{copy}/runs"),
)

SUPERSTEPS = (
    thread(
        metadata={"graph_id": "steps"},
        supersteps=[
            {"updates": [{"values": {"name": "n", "trail": ["s"]}, "as_node": "__input__"}]},
            {"updates": [{"values": {"trail": ["a!"]}, "as_node": "a"}]},
        ],
    ),
    get("state", "/threads/{thread}/state"),
    run("go on", "steps", input=None),
)

ASKING = (
    thread(),
    run("ask", "ask", input={"question": "Why?"}),
    get("thread", "/threads/{thread}"),
    get("state", "/threads/{thread}/state"),
    get("runs", "/threads/{thread}/runs?select=run_id&select=status", keep={"run": "0.run_id"}),
    get("join", "/threads/{thread}/runs/{run}/join"),
    run("answer", "ask", command={"resume": "because"}),
    get("thread then", "/threads/{thread}"),
    thread("two"),
    run("two ask", "twoasks", on="two", input={"question": "q"}),
    get("two: state", "/threads/{two}/state", keep={"left": "tasks.0.interrupts.0.id", "right": "tasks.1.interrupts.0.id"}),
    run("two: one answer for both", "twoasks", on="two", command={"resume": "one"}),
    run("two: the first", "twoasks", on="two", command={"resume": {"{left}": "L"}}),
    get("two: thread with one open", "/threads/{two}"),
    run("two: the second", "twoasks", on="two", command={"resume": "R"}),
    thread("inner"),
    run("one inside asks", "subask", on="inner", input={"question": "q"}),
    get("inner: state", "/threads/{inner}/state"),
    get("inner: state with what is inside", "/threads/{inner}/state?subgraphs=true"),
    run("inner: answer", "subask", on="inner", command={"resume": "ok"}),
    thread("plain"),
    run("answer where nobody asked", "ask", on="plain", command={"resume": 1}),
)

STOPS = (
    thread(),
    run("stop before a node", "steps", input={"name": "x"}, interrupt_before=["b"]),
    get("thread", "/threads/{thread}"),
    get("state", "/threads/{thread}/state"),
    run("go on, stop after each", "steps", input=None, interrupt_after="*"),
    run("go on without a word", "steps"),
    get("runs", "/threads/{thread}/runs?select=status"),
    get("thread at the end", "/threads/{thread}"),
)
