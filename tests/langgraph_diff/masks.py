"""What is replaced in answers before two servers are compared: ids, times, versions, and names that one play alone uses."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

GRAPHS = json.loads((Path(__file__).parent / "agents" / "langgraph.json").read_text())["graphs"]
NAMESPACE = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
SYSTEM_ASSISTANTS = {str(uuid.uuid5(NAMESPACE, graph)): f"<assistant {graph}>" for graph in GRAPHS}
PATTERNS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex>"),
    (re.compile(r"^\d{13}-\d+$"), "<stream id>"),
    (re.compile(r"https?://127\.0\.0\.1:\d+"), "<url>"),
)
# These differ from server to server, or from one moment to the next; that they are there is compared, not what they say.
BY_NAME = {
    "__request_start_time_ms__",
    "event_id",
    "langgraph_api_version",
    "langgraph_host",
    "langgraph_plan",
    "langgraph_version",
    "lc_versions",
    "timestamp",
    "version_info",
}


def masked(part: Any, known: dict[str, str]) -> Any:
    """The same, with what is known by a name written as `<name>`, and other ids and times by their kind."""
    if isinstance(part, dict):
        return {_masked_text(key, known): "<masked>" if key in BY_NAME else masked(value, known) for key, value in part.items()}
    if isinstance(part, list):
        return [masked(each, known) for each in part]
    return _masked_text(part, known) if isinstance(part, str) else part


def _masked_text(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        if len(value) >= 12:
            text = text.replace(value, f"<{name}>")
    for value, name in SYSTEM_ASSISTANTS.items():
        text = text.replace(value, name)
    for pattern, kind in PATTERNS:
        text = pattern.sub(kind, text)
    return text
