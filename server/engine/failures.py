"""What a client reads when an agent failed: a code and words of ours; what the exception says stays in the log."""

from __future__ import annotations

import logging

from langchain_core.exceptions import ModelConnectionError, ModelError, ModelTimeoutError
from langgraph.errors import EmptyInputError, GraphRecursionError

from server.engine.graphs import AgentBroken
from server.engine.job import Job, Outcome
from server.engine.statetypes import StateTypeBlocked

__all__ = ["RECURSION_LIMIT", "failed", "problem", "too_large"]

log = logging.getLogger(__name__)

# Steps that an agent may take when its caller names no limit.
RECURSION_LIMIT = 100

# What a client reads for an exception of a model's client, by its HTTP status. Source: the providers' error pages.
MODEL_ERRORS: dict[int, tuple[str, str, bool]] = {
    400: ("model_refused", "The model refused the request.", False),
    401: ("model_key", "The model refused the key.", False),
    403: ("model_key", "The model refused the key.", False),
    404: ("model_unknown", "The model is not known there.", False),
    429: ("model_busy", "The model has too many requests; try again later.", True),
}


def problem(code: str, message: str, *, retryable: bool = False, kind: str | None = None) -> dict[str, object]:
    """The error of a run. kind: the class of the exception, for clients that tell failures apart by it."""
    told: dict[str, object] = {"code": code, "message": message, "retryable": retryable}
    return told if kind is None else {**told, "kind": kind}


def too_large(job: Job) -> Outcome:
    """The end of a run that says more than it may."""
    return Outcome("error", error=problem("output_too_large", f"The answer is larger than {job.max_output_bytes} bytes."))


def failed(job: Job, error: BaseException) -> Outcome:
    """The end of a run whose agent has raised something; in its author's words only where they were written for clients."""
    facts = {"run_id": job.run_id, "agent_id": job.agent.agent_id, "kind": type(error).__name__}
    log.warning("agent.failed", extra={"facts": facts}, exc_info=error)
    told = _told(job, error)
    return Outcome("error", error={**told, "kind": type(error).__name__})


def _told(job: Job, error: BaseException) -> dict[str, object]:
    public = getattr(error, "public_message", None)
    if isinstance(public, str):
        return problem("agent_refused", public)
    if isinstance(error, AgentBroken):
        return problem("agent_broken", f"The agent cannot be opened: {error}.")
    if isinstance(error, StateTypeBlocked):
        return problem("state_type_blocked", f"The agent's state holds a type that it does not declare: {error}.")
    if isinstance(error, GraphRecursionError):
        limit = job.options.config.get("recursion_limit", RECURSION_LIMIT) if job.options else RECURSION_LIMIT
        return problem("too_many_steps", f"The agent took more than {limit} steps.")
    if isinstance(error, EmptyInputError):
        return problem("no_input", "The agent was given nothing to begin with.")
    if isinstance(error, RuntimeError) and str(error).startswith("When there are multiple pending interrupts"):
        return problem("which_question", "Several questions are open; answer each by its interrupt id.")
    if isinstance(error, MemoryError):
        return problem("out_of_memory", "The agent used more memory than it may.")
    return _model_failed(error) or problem("agent_failed", f"The agent failed ({type(error).__name__}).")


def _model_failed(error: BaseException) -> dict[str, object] | None:
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        known = MODEL_ERRORS.get(status, ("model_failed", f"The model answered with status {status}.", status >= 500))
        return problem(known[0], known[1], retryable=known[2])
    if isinstance(error, (ModelConnectionError, ModelTimeoutError)):
        return problem("model_away", "The model does not answer.", retryable=True)
    if isinstance(error, ModelError):
        return problem("model_failed", "The model failed.", retryable=bool(error.is_retryable))
    return None
