"""The webhooks' door: where the end of a run may be told, what is told, and the secret that it is signed with."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, jsonify
from marshmallow import Schema, fields

from server.accounts.who import me, signed_in
from server.agents import catalogue
from server.kit import outbound
from server.kit.clock import iso
from server.langgraph_api.dialect import answers, new_door
from server.langgraph_api.rendering import failure, run_shown
from server.runs.models import Run
from server.runs.webhooks.actions import secret
from server.settings import Settings

__all__ = ["check_webhook", "door", "told"]

door = new_door("webhooks")


class SecretShape(Schema):
    """What your webhooks are signed with."""

    secret = fields.String(required=True)


@door.get("/webhooks/secret")
@signed_in
@answers(SecretShape)
def show_secret() -> Response:
    """Show the secret that the webhooks of your runs are signed with."""
    return jsonify({"secret": secret(me().id)})


def check_webhook(url: str) -> None:
    """Refuse an address that no webhook may go to, as far as it can be seen from how it is written; what it leads to is looked at later.

    Raises CallRefused (422).
    """
    settings: Settings = current_app.config["SETTINGS"]
    parts = outbound.check_url(url, private=settings.outbound_private)
    configured = catalogue.config().webhooks
    if configured is None:
        return
    if configured.require_https and parts.scheme != "https":
        raise outbound.CallRefused("Webhook must use https")
    if len(url) > configured.max_url_chars:
        raise outbound.CallRefused("Webhook URL is too long")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    if configured.ports and port not in configured.ports:
        raise outbound.CallRefused(f"Webhook port {port} is not allowed")
    if configured.domains and not any(_is_of(parts.hostname or "", domain) for domain in configured.domains):
        raise outbound.CallRefused("Webhook host is not allowed")


def _is_of(host: str, domain: str) -> bool:
    """Whether a host is the one that is allowed, or below it where that is written `*.example.com`."""
    host = host.lower().rstrip(".")
    return host.endswith(domain[1:]) if domain.startswith("*.") else host == domain


def told(run: Run, words: str) -> dict[str, Any]:
    """What a webhook says of a run that has ended: the run, when it began and ended, the state that it left, and its error."""
    said = {
        **run_shown(run, (run.options or {}).get("thread", ""), words),
        "run_started_at": iso(run.started_at) if run.started_at else None,
        "run_ended_at": iso(run.finished_at) if run.finished_at else None,
        "values": run.output,
    }
    return {**said, "error": failure(run.error)} if run.status in ("error", "timeout") else said
