"""The commands of the thread protocol: each is answered by an envelope with its id, a success or an error.

Source: the types of langchain_protocol; the answers of LangGraph's own server.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from server.kit.db import rollback
from server.kit.errors import NotFound, Refusal
from server.kit.http import parse_id
from server.langgraph_api import who
from server.langgraph_api.protocol_events import LIFECYCLE, PREFIX, Filter, channel_is_known
from server.langgraph_api.starting import NothingToResume, start_run
from server.runs.threads import actions as threads
from server.runs.threads import reads
from server.runs.threads.models import named

__all__ = ["Commands", "Subscriber", "Wrong", "filter_of", "since_of"]

Fields = Mapping[str, Any]
Answer = dict[str, Any]

STRATEGIES = ("reject", "enqueue", "interrupt", "rollback")
# What is refused for a while only, or for want of a credential, is refused as HTTP says it, so that clients try again or sign in.
AS_HTTP = (401, 429, 503, 504)


class Wrong(Exception):
    """A command cannot be carried out; its code is one of the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Subscriber(Protocol):
    """Who gets the events that a client subscribes to: its WebSocket."""

    def subscribe(self, wanted: Filter, since: int | None) -> tuple[str, int]:
        """Send what was said after a number and what will be; the subscription's id, and how many events were sent of the past."""

    def unsubscribe(self, subscription_id: str) -> bool:
        """Send no more of it; whether there was one."""


@dataclass
class Commands:
    """Carries out what a client asks of one of its threads. subscriber: None over plain HTTP, where events have a stream of their own."""

    owner_id: uuid.UUID
    name: str
    subscriber: Subscriber | None = None

    def answer_text(self, text: str) -> Answer:
        """The answer to a command as a WebSocket brings it."""
        if "\\u0000" in text:
            return _error(None, "invalid_argument", "The command holds a NUL character.")
        try:
            return self.answer(orjson.loads(text))
        except orjson.JSONDecodeError:
            return _error(None, "invalid_argument", "Protocol commands must be valid JSON.")

    def answer(self, command: Any) -> Answer:
        """The answer to a command; nothing of it is left in the session."""
        fields = command if isinstance(command, dict) else {}
        number, method, params = fields.get("id"), fields.get("method"), fields.get("params")
        if not is_command(command):
            return _error(number, "invalid_argument", "Protocol commands must include an integer id and string method.")
        carry_out = COMMANDS.get(method or "")
        if carry_out is None:
            return _error(number, "unknown_command", f"Unknown protocol command: {method}")
        applied = self._newest()
        try:
            result = carry_out(self, params if isinstance(params, dict) else {})
        except Wrong as wrong:
            return _error(number, wrong.code, wrong.message)
        except Refusal as refusal:
            if self.subscriber is None and refusal.status in AS_HTTP:
                raise
            return _error(number, _code_of(refusal), refusal.message)
        finally:
            rollback()
        return {"type": "success", "id": number, "result": result, "meta": {"applied_through_seq": applied}}

    def _newest(self) -> int:
        """The number of the thread's newest event: all that a command sets off comes after it."""
        thread_id = reads.id_named(self.owner_id, self.name)
        return reads.bounds(thread_id)[1] if thread_id is not None else 0

    # -- runs --------------------------------------------------------------------------------------------------------

    def start(self, params: Fields) -> Answer:
        """A new run; the thread is made where there is none of that name."""
        assistant_id = params.get("assistant_id")
        if not isinstance(assistant_id, str) or not assistant_id:
            raise Wrong("invalid_argument", "run.start requires an assistant_id.")
        strategy = params.get("multitask_strategy") or params.get("multitaskStrategy") or "enqueue"
        if strategy not in STRATEGIES:
            raise Wrong("invalid_argument", f"Unknown multitask_strategy; one of {', '.join(STRATEGIES)}.")
        payload = {"input": params.get("input"), "multitask_strategy": strategy, **_settings_of(params)}
        thread = threads.add(self.owner_id, self.name, if_exists="do_nothing")
        self._refuse_unseen(thread.about)
        run = start_run(self.owner_id, assistant_id, payload, thread, auth=who.auth_configurable())
        return {"run_id": str(run.id)}

    def respond(self, params: Fields) -> Answer:
        """A new run that goes on with a human's answers to questions of the thread."""
        answers = _answers(params)
        thread = named(self.owner_id, self.name)
        asked = {each["id"]: each for each in (thread.interrupts or ())} if thread is not None else {}
        for each in answers:
            known = asked.get(each["interrupt_id"])
            if thread is None or known is None or thread.status == "busy":
                raise Wrong("no_such_interrupt", f"Unknown or already-consumed interrupt: {each['interrupt_id']}")
            if each.get("namespace") is not None and list(each["namespace"]) != list(known.get("namespace") or each["namespace"]):
                raise Wrong("no_such_interrupt", "Interrupt namespace does not match the pending interrupt.")
        assert thread is not None
        self._refuse_unseen(thread.about)
        command: dict[str, Any] = {"resume": {each["interrupt_id"]: each.get("response") for each in answers}}
        command |= {name: params[name] for name in ("update", "goto") if params.get(name) is not None}
        payload = {"command": command, "multitask_strategy": "reject", **_settings_of(params)}
        start_run(self.owner_id, self._assistant_of(thread.id), payload, thread, auth=who.auth_configurable())
        return {}

    def _assistant_of(self, thread_id: uuid.UUID) -> str:
        """Whose question it was: the assistant of the run that asked."""
        run = reads.last_run(thread_id, status="interrupted") or reads.last_run(thread_id)
        if run is None:
            raise Wrong("no_such_run", "No run of this thread has asked anything.")
        return str(run.assistant_id or run.agent_id)

    def _refuse_unseen(self, about: dict[str, Any]) -> None:
        """Whom the operator's handlers do not show a thread, for them there is none."""
        if not who.passes(about):
            raise threads.ThreadNotFound

    def tree(self, params: Fields) -> Answer:
        """The graph of the thread's newest run, or of the named one, with the subgraphs that it has entered."""
        wanted = params.get("run_id")
        run_id = parse_id(wanted)
        thread_id = reads.id_named(self.owner_id, self.name)
        run = reads.last_run(thread_id, run_id=run_id) if thread_id is not None and (wanted is None or run_id is not None) else None
        if run is None:
            raise Wrong("no_such_run", "No active run is bound to this thread.")
        root = {"namespace": [], "status": LIFECYCLE.get(run.status, "started"), "graph_name": run.agent_id}
        return {"tree": _grown(root, reads.said_of_kind(run.id, f"{PREFIX}lifecycle|"))}

    # -- subscriptions -----------------------------------------------------------------------------------------------

    def subscribe(self, params: Fields) -> Answer:
        """Events over this connection; over plain HTTP there is nothing that they could be sent on."""
        wanted = filter_of(params, "subscription.subscribe")
        if self.subscriber is None:
            return {"subscription_id": str(uuid.uuid4()), "replayed_events": 0}
        subscription_id, replayed = self.subscriber.subscribe(wanted, since_of(params))
        return {"subscription_id": subscription_id, "replayed_events": replayed}

    def unsubscribe(self, params: Fields) -> Answer:
        """No more of these events."""
        name = str(params.get("subscription_id"))
        if self.subscriber is None or not self.subscriber.unsubscribe(name):
            raise Wrong("no_such_subscription", f"Unknown subscription: {name}")
        return {}

    def reconnect(self, params: Fields) -> Answer:
        """What a lost connection had subscribed to is not kept: told so, a client subscribes again from the number it has."""
        thread_id, run_id = reads.id_named(self.owner_id, self.name), parse_id(params.get("run_id"))
        if thread_id is None or run_id is None or reads.last_run(thread_id, run_id=run_id) is None:
            raise Wrong("no_such_run", "No active run is bound to this thread.")
        return {"restored": False}


COMMANDS: dict[str, Callable[[Commands, Fields], Answer]] = {
    "run.start": Commands.start,
    "input.respond": Commands.respond,
    "agent.getTree": Commands.tree,
    "subscription.subscribe": Commands.subscribe,
    "subscription.unsubscribe": Commands.unsubscribe,
    "subscription.reconnect": Commands.reconnect,
}


def is_command(command: Any) -> bool:
    """Whether it has the form of one."""
    if not isinstance(command, dict) or not isinstance(command.get("method"), str):
        return False
    return isinstance(command.get("id"), int) and not isinstance(command["id"], bool)


def filter_of(params: Fields, method: str) -> Filter:
    """Which events a client asks for. Raises Wrong."""
    channels = params.get("channels")
    if not isinstance(channels, list) or not channels:
        raise Wrong("invalid_argument", f"{method} requires a non-empty channels array.")
    if not all(channel_is_known(each) for each in channels):
        raise Wrong("invalid_argument", f"{method} received an unsupported channel.")
    namespaces, depth = params.get("namespaces"), params.get("depth")
    if namespaces is not None and not _is_list_of_names(namespaces):
        raise Wrong("invalid_argument", f"{method}: namespaces is an array of arrays of names.")
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 0):
        raise Wrong("invalid_argument", f"{method}: depth is a whole number from 0.")
    return Filter(frozenset(channels), [tuple(each) for each in namespaces or ()], depth)


def since_of(params: Fields) -> int | None:
    """The number after which a client asks for events; None for all that are kept. Raises Wrong."""
    since = params.get("since")
    if since is None:
        return None
    if not isinstance(since, int) or isinstance(since, bool) or since < 0:
        raise Wrong("invalid_argument", "since is the seq of the last event that you have.")
    return since or None


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in value)


def _settings_of(params: Fields) -> dict[str, Any]:
    """What is the same for all runs that the protocol starts, and what the client says of this one. Raises Wrong."""
    for name in ("config", "metadata"):
        if params.get(name) is not None and not isinstance(params[name], dict):
            raise Wrong("invalid_argument", f"{name} is an object.")
    config = dict(params.get("config") or {})
    checkpoint_id = (config.get("configurable") or {}).get("checkpoint_id")
    beginning = {"checkpoint": {"checkpoint_id": checkpoint_id}} if checkpoint_id else {}
    return {
        "protocol": "v3",
        "stream_subgraphs": True,
        "stream_resumable": True,
        "config": config,
        "metadata": params.get("metadata") or {},
        **beginning,
    }


def _answers(params: Fields) -> list[dict[str, Any]]:
    """A human's answers, one or many. Raises Wrong."""
    answers = params.get("responses", [params])
    if not isinstance(answers, list) or not answers:
        raise Wrong("invalid_argument", "input.respond requires at least one response.")
    for each in answers:
        if not isinstance(each, dict) or not isinstance(each.get("interrupt_id"), str):
            raise Wrong("invalid_argument", "input.respond requires an interrupt_id.")
        if each.get("namespace") is not None and not _is_list_of_names([each["namespace"]]):
            raise Wrong("invalid_argument", "input.respond: namespace is an array of names.")
    return answers


def _grown(root: Answer, said: list[tuple[str, str]]) -> Answer:
    """A tree with the subgraphs that a run has told of, each below the one that it was entered from."""
    nodes: dict[tuple[str, ...], Answer] = {(): root}
    for kind, data in said:
        path = tuple(kind.split("|")[1:])
        told = orjson.loads(data)["data"]
        node = nodes.get(path)
        if node is None:
            node = nodes[path] = {"namespace": list(path), "status": "started", "graph_name": told.get("graph_name", "")}
            above = next(nodes[path[:length]] for length in range(len(path) - 1, -1, -1) if path[:length] in nodes)
            above.setdefault("children", []).append(node)
        node["status"] = told["event"]
    return root


def _error(number: Any, code: str, message: str) -> Answer:
    return {"type": "error", "id": number, "error": code, "message": message}


def _code_of(refusal: Refusal) -> str:
    if isinstance(refusal, NothingToResume):
        return "no_such_interrupt"
    if refusal.status == 403:
        return "permission_denied"
    if isinstance(refusal, NotFound) or refusal.status in (400, 409, 410, 422):
        return "invalid_argument"
    return "unknown_error"
