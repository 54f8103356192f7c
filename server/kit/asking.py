"""Questions to a worker: short work that needs an agent's code, done on the fast lane while a request waits for the answer.

    @answering("threads.state")
    def state(question): ...            # in a worker: a module named in `app.TASKS`

    ask("threads.state", {...})         # anywhere: what `state` returned

Nothing durable hangs on it: a question that nobody answers in time is an Unavailable, and may be asked again.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from redis.exceptions import RedisError

from server.kit import queue, redis
from server.kit.errors import Refusal, Unavailable

__all__ = ["answering", "ask"]

log = logging.getLogger(__name__)

ANSWER_S = 15.0  # how long a request waits; opening an agent's code for the first time may take seconds
KEPT_S = 30  # how long an answer that nobody has fetched is kept
LOOK_S = 0.8  # less than Redis may take to answer

Question = dict[str, Any]


def ask(name: str, question: Question, *, timeout_s: float = ANSWER_S) -> Any:
    """What the worker's function of that name returns. Blocks; raises what it refused, and Unavailable when no worker answers in time."""
    key = f"parley:answer:{uuid.uuid4().hex}"
    queue.send(name, orjson.dumps(question, default=str).decode(), key, lane="fast")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            found = redis.client().blpop([key], timeout=LOOK_S)
        except RedisError:
            raise Unavailable from None
        if found is not None:
            return _answer(found[1])
    raise Unavailable("No worker answers at the moment; try again.")


def answering(name: str) -> Callable[[Callable[[Question], Any]], Any]:
    """Register a function as the one that answers questions of that name. It may raise a Refusal; anything else is a bug of ours."""

    def decorate(function: Callable[[Question], Any]) -> Any:
        @queue.task(name)
        def answer(question: str, key: str) -> None:
            _reply(key, _outcome(name, function, orjson.loads(question)))

        return answer

    return decorate


def _outcome(name: str, function: Callable[[Question], Any], question: Question) -> bytes:
    try:
        return orjson.dumps({"answer": function(question)}, option=orjson.OPT_NON_STR_KEYS)
    except Refusal as refusal:
        refused = {"message": refusal.message, "code": refusal.code, "status": refusal.status}
    except Exception:
        log.exception("asking.bug", extra={"facts": {"name": name}})
        refused = {"message": "Internal server error", "code": "internal", "status": 500}
    return orjson.dumps({"refused": refused})


def _reply(key: str, outcome: bytes) -> None:
    try:
        with redis.client().pipeline(transaction=False) as pipe:
            pipe.rpush(key, outcome)
            pipe.expire(key, KEPT_S)
            pipe.execute()
    except RedisError:
        log.warning("asking.reply_dropped")


def _answer(outcome: bytes | str) -> Any:
    told = orjson.loads(outcome)
    if "refused" not in told:
        return told["answer"]
    refusal = Refusal(told["refused"]["message"], code=told["refused"]["code"])
    refusal.status = told["refused"]["status"]
    raise refusal
