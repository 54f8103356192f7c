"""Where our answers differ from the reference server's on purpose, and why. What is not listed here must be the same."""

from __future__ import annotations

from tests.langgraph_diff.comparing import ABSENT, Difference

REFUSALS = (
    Difference("A refusal says the same in the words of both families of clients.", "body.error", theirs=ABSENT),
    Difference("A refusal says the same in the words of both families of clients.", "body.message", theirs=ABSENT),
    Difference("A refusal is told in our words; its status is the same.", "body.detail"),
    Difference("A refusal of a body says which fields are wrong.", "body.errors", theirs=ABSENT),
    Difference("A path that is none of this dialect's is refused as everywhere else here.", "body.msg", "server", "no such route", ABSENT),
    Difference("Input together with a command is refused; theirs drops one of them in silence.", "status", "refused", "input and command"),
    Difference("A resume where nobody asked is an error, said at once.", "status", "*", "answer where nobody asked", ours="409"),
    Difference(
        "A run that does not exist is 404, not a stream or an answer of 200 that holds the number.",
        "status",
        "runs",
        "* unknown",
        "200",
        "404",
    ),
    Difference("A thread that does not exist is 404 wherever it is named.", "status", "threads", "copy unknown", "409", "404"),
    Difference("A missing field is refused, not an internal error.", "status", "crons", "no schedule", "500", "422"),
    Difference("A refusal is JSON everywhere.", "headers.content-type", "store", "namespace with *", ABSENT, "application/json"),
    Difference("A refusal is JSON everywhere.", "body", "store", "namespace with *", "Namespace label*", "{*"),
    Difference("`error` is a code everywhere.", "body.error", "store", "read without a key", "Key is required"),
)

ABOUT_THE_SERVER = (
    Difference("We are another server, and do not tell callers its versions, plan and address.", "*langgraph_*version", ours=ABSENT),
    Difference("We are another server, and do not tell callers its versions, plan and address.", "*langgraph_plan", ours=ABSENT),
    Difference("We are another server, and do not tell callers its versions, plan and address.", "*langgraph_host", ours=ABSENT),
    Difference("We are another server, and do not tell callers its versions, plan and address.", "*langgraph_api_url", ours=ABSENT),
    Difference("The id of a request is nothing that a run or a checkpoint keeps.", "*langgraph_request_id", ours=ABSENT),
    Difference("A user's id stands once, as langgraph_auth_user_id.", "*.user_id", theirs="", ours=ABSENT),
    Difference("How they time a request inside is theirs.", "*.__request_start_time_ms__", ours=ABSENT),
    Difference("How they time a request inside is theirs.", "*.__after_seconds__", ours=ABSENT),
    Difference("How they mark a node's end inside is theirs.", "*.__pregel_node_finished", ours=ABSENT),
    Difference("How they mark a run of the thread protocol inside is theirs.", "*.__event_streaming_v2", ours=ABSENT),
    Difference("How they mark a run of the thread protocol inside is theirs.", "body.kwargs.context.thread_id", ours=ABSENT),
    Difference(
        "The protocol's run has the values; its other channels are read from the events.", "body.kwargs.stream_mode[*]", "protocol*"
    ),
    Difference(
        "The kept options are those that were asked for, not what a worker adds.", "*kwargs.config.metadata.run_attempt", ours=ABSENT
    ),
    Difference("There is no LangSmith behind this server.", "*langsmith_session_name", theirs="None", ours=ABSENT),
    Difference("We have no further services that a client should know of.", "body.services", "server", "ok*", "{}", ABSENT),
    Difference("A cron has an owner.", "*.user_id", "crons", theirs="", ours="<uuid>"),
)

RUNS = (
    Difference("A run says what it was given, what came of it, and whether it was cancelled.", "*.input", theirs=ABSENT),
    Difference("A run says what it was given, what came of it, and whether it was cancelled.", "*.output", theirs=ABSENT),
    Difference("A run says what it was given, what came of it, and whether it was cancelled.", "*.error_message", theirs=ABSENT),
    Difference("A run says what it was given, what came of it, and whether it was cancelled.", "*.cancelled_at", theirs=ABSENT),
    Difference("A run says what it was given, what came of it, and whether it was cancelled.", "*.cancel_reason", theirs=ABSENT),
    Difference("Every run's metadata names its graph, a stateless one's too.", "*metadata.graph_id", "stateless", theirs=ABSENT),
    Difference("A run that waits for somebody says so; theirs says success.", "body[*].status", theirs="success", ours="interrupted"),
    Difference("A client is not shown the text of an agent's exception.", "*__error__.message", theirs="*", ours="*"),
    Difference(
        "A client is not shown the text of an agent's exception.",
        "body[*].data.message",
        "streams",
        "an error*",
        "It broke.",
        "*(ValueError).",
    ),
    Difference("A client is not shown the text of an agent's exception.", "body[*].data.params.data.error", "protocol*"),
    Difference("A client is not shown the text of an agent's exception.", "body.error.message", theirs="It broke.", ours="*(ValueError)."),
    Difference("A client is not shown the text of an agent's exception.", "body[*].data.error.message", "streams", "an error in tasks"),
    Difference("A client is not shown the text of an agent's exception.", "body.tasks[*].error", theirs="ValueError(*", ours="ValueError"),
    Difference("A join of a run that waits answers as the wait for it did.", "body.question", "asking", theirs=ABSENT),
    Difference("A join of a run that waits answers as the wait for it did.", "body.answers", "asking", theirs=ABSENT),
    Difference(
        "A join of a run that waits answers as the wait for it did.", "body.__interrupt__[*].response_schema", "asking", "join", ABSENT
    ),
    Difference(
        "What a run leaves that waits is the thread's state, with what its finished steps have done.", "body.answers[0]", "asking", "two*"
    ),
)

THREADS = (
    Difference("A thread has the same keys at all times.", "*interrupts", theirs=ABSENT, ours="{}"),
    Difference("A thread has the same keys at all times.", "*.error", theirs=ABSENT, ours="None"),
    Difference("A thread has the same keys at all times.", "body.values", "threads", "copy an empty one", ABSENT, "None"),
    Difference("A copy is configured as the thread that it is of.", "body.config.configurable", "state", "copy", theirs=ABSENT),
    Difference(
        "What a run leaves that waits is the thread's state, with what its finished steps have done.",
        "body.values.answers[0]",
        "asking",
        "two*",
    ),
    Difference("A thread shows what a failed run has left, whichever way it was started.", "body.values", "protocol_inside", "failed*"),
    Difference("A copy comes with its values.", "body.values", "state", "copy", theirs=ABSENT),
    Difference("A thread may have a name for an id.", "status", "threads", "a name for an id", "422", "200"),
    Difference(
        "A thread may have a name for an id, so any text may be one.", "status", "thread_search", "by ids that are none", "400", "200"
    ),
    Difference("Theirs fails on a search by values.", "status", "thread_search", "*by values", "500", "200"),
    Difference("Theirs cannot prune to the latest state.", "status", "thread_search", "prune to the latest", "422", "200"),
    Difference("After a cancel nobody has to answer: the thread is free.", "body.status", "cancelled", "thread", "interrupted", "idle"),
    Difference("A cancel is no error of the thread.", "body.error", "cancelled", theirs="{'error': 'User*", ours="None"),
    Difference("A checkpoint has its namespace wherever it is named.", "*checkpoint_ns", "state", theirs=ABSENT, ours=""),
    Difference("A checkpoint's id is in `checkpoint`, not among its metadata.", "body.metadata.checkpoint_id", ours=ABSENT),
    Difference(
        "The state of a graph inside says what made it; how it was reached is its namespace.", "body.tasks[*].state.metadata.*", ours=ABSENT
    ),
)

GRAPHS = (
    Difference("Theirs fails on a graph that has a context.", "status", "drawings", "schemas with a context", "500", "200"),
    Difference("Theirs has no schema for a list of anything.", "body.*put_schema", "drawings", "schemas", "None"),
)

STREAMS = (
    Difference("Every event has an id, so that any stream can be resumed.", "body[*].id", theirs=ABSENT),
    Difference("An id tells the run and counts without gaps; theirs collide within a millisecond.", "body[*].id", "joined"),
    Difference(
        "A stream ends with `end`, so that a client can tell the end from a broken line.", "body[*]", theirs=ABSENT, ours="{'event': 'end'*"
    ),
)

PROTOCOL = (
    Difference(
        "Events of channels that theirs keeps silent about are counted too; the order is the same.", "body[*].data.seq", "protocol*"
    ),
    Difference("Events of channels that theirs keeps silent about are counted too; the order is the same.", "body[*].id", "protocol*"),
    Difference("A command says how far the thread's events have come.", "*applied_through_seq", "protocol*", theirs="0"),
    Difference(
        "What is asked is called by both clients' words, `payload` and `value`.",
        "body[*].data.params.data.value",
        "protocol*",
        theirs=ABSENT,
    ),
    Difference("A message's events say which run and node speak.", "body[*].data.params.data.run_id", "protocol*", theirs=ABSENT),
    Difference("A message's events say which run and node speak.", "body[*].data.params.node", "protocol*", theirs=ABSENT),
    Difference("The tree of agents is told over HTTP too.", "body.*", "protocol", "agent.getTree"),
    Difference(
        "An argument that is wrong is called so.", "body.error", "protocol", "unknown assistant", "unknown_error", "invalid_argument"
    ),
    Difference("A refusal is told in our words; its code is the same.", "body.message", "protocol"),
)

DIFFERENCES = (*REFUSALS, *ABOUT_THE_SERVER, *RUNS, *THREADS, *GRAPHS, *STREAMS, *PROTOCOL)
