"""The worker's side of this door: the operator's authentication handlers answer here."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

from server.agents import catalogue
from server.engine import auth
from server.engine.job import AgentSource
from server.kit.asking import answering
from server.runs.tasks import host

__all__ = ["check", "described"]

log = logging.getLogger(__name__)

HANDLERS = "auth"  # the name under which they stand in the log, and of their event loop
ANSWER_S = 10.0  # less than the request waits for it
TOO_SLOW = "The server's authentication handlers do not answer in time; try again."


@answering("auth.described")
def described(_: dict[str, Any]) -> dict[str, Any]:
    """Which handlers there are: {"authenticates", "handlers"}, or {"refused"}."""
    return _answered(auth.described(_source()))


@answering("auth.check")
def check(question: dict[str, Any]) -> dict[str, Any]:
    """Who a request comes from and what they may: {"user", "must", "values"}, or {"refused": {"status", "detail"}}.

    question: `user` if that is known, else the `request`; `resource`, `action`, and the `values` to be allowed, maybe none.
    """
    return _answered(_check(_source(), question))


async def _check(source: AgentSource, question: dict[str, Any]) -> dict[str, Any]:
    user = question["user"] or await auth.authenticate(source, question["request"])
    verdicts = [await auth.authorize(source, user, question["resource"], question["action"], value) for value in question["values"]]
    must: dict[str, Any] = {}
    for verdict in verdicts:
        must.update(verdict.must or {})
    return {"user": user, "must": must or None, "values": [verdict.value for verdict in verdicts]}


def _source() -> AgentSource:
    config = catalogue.config()
    return AgentSource(HANDLERS, config.auth_path or "", config.folder, config.env, config.dependencies)


def _answered(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        told: dict[str, Any] = host().engine.attend(HANDLERS, _source().folder, work, ANSWER_S)
    except auth.Refused as refused:
        return {"refused": {"status": refused.status, "detail": refused.detail}}
    except TimeoutError:
        log.warning("auth.too_slow")
        return {"refused": {"status": 503, "detail": TOO_SLOW}}
    return told
