"""What both servers are asked: scenarios by name. A scenario makes what it needs and takes nothing from another."""

from __future__ import annotations

from tests.langgraph_diff.playing import Scenario
from tests.langgraph_diff.scenarios import nouns, protocol, running, states

SCENARIOS = tuple(
    Scenario(name, steps)
    for name, steps in {
        "server": nouns.SERVER,
        "assistants": nouns.ASSISTANTS,
        "assistant_pages": nouns.ASSISTANT_PAGES,
        "drawings": nouns.DRAWINGS,
        "threads": nouns.THREADS,
        "thread_search": nouns.THREAD_SEARCH,
        "state": states.STATE,
        "supersteps": states.SUPERSTEPS,
        "runs": running.RUNS,
        "refused": running.REFUSED,
        "ends": running.ENDS,
        "asking": states.ASKING,
        "stops": states.STOPS,
        "streams": running.STREAMS,
        "resumed_stream": running.RESUMED_STREAM,
        "joined": running.JOINED,
        "double": running.DOUBLE,
        "cancelled": running.CANCELLED,
        "stateless": running.STATELESS,
        "crons": nouns.CRONS,
        "store": nouns.STORE,
        "protocol": protocol.PROTOCOL,
        "protocol_messages": protocol.PROTOCOL_MESSAGES,
        "protocol_asking": protocol.PROTOCOL_ASKING,
        "protocol_inside": protocol.PROTOCOL_INSIDE,
    }.items()
)
