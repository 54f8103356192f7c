"""The assistant's tools. Each answers in text; what may go wrong is told to the model, not raised at the run."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from assistant_arithmetic import NotComputable, compute
from assistant_web import PageRefused, fetch_text
from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, ToolException, tool

__all__ = ["TOOLS", "is_dangerous"]

PASSAGES = 6


@tool
async def search_documents(query: str, runtime: ToolRuntime[dict[str, Any], dict[str, Any]]) -> str:
    """Search the documents of this workspace. Gives the passages that fit the query best, with the document each is from."""
    workspace_id = (runtime.context or {}).get("workspace_id")
    if not workspace_id or runtime.store is None:
        raise ToolException("There are no documents here: this conversation belongs to no workspace.")
    found = await runtime.store.asearch(("workspace", str(workspace_id), "documents"), query=query, limit=PASSAGES)
    if not found:
        return "This workspace holds no documents."
    fitting = [item.value for item in found if item.value["coverage"]]
    return "\n\n".join(map(_passage, fitting)) or "No document of this workspace says anything about this."


def _passage(value: dict[str, Any]) -> str:
    place = " › ".join(str(part) for part in (value["document"], value.get("heading")) if part)
    page = f", page {value['page']}" if value.get("page") else ""
    return f"From {place}{page}:\n{value['text']}"


@tool
def current_time(zone: str = "UTC") -> str:
    """The date and time now in an IANA time zone such as Europe/Berlin."""
    try:
        there = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolException(f"{zone!r} is no IANA time zone.") from None
    return dt.datetime.now(there).strftime("%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)")


@tool
def calculator(expression: str) -> str:
    """The value of an arithmetic expression: + - * / // % **, parentheses, pi, e, sqrt, log, exp, sin, cos, tan, abs, round, min, max."""
    try:
        return compute(expression)
    except NotComputable as error:
        raise ToolException(str(error)) from None


@tool(extras={"dangerous": True})
async def fetch_url(url: str) -> str:
    """The text of a public web page. A person has to approve it first."""
    try:
        return await fetch_text(url)
    except PageRefused as error:
        raise ToolException(str(error)) from None


def is_dangerous(tool: BaseTool) -> bool:
    """Whether a person has to approve before it is called."""
    return bool((tool.extras or {}).get("dangerous"))


TOOLS: list[BaseTool] = [search_documents, current_time, calculator, fetch_url]
for _tool in TOOLS:
    _tool.handle_tool_error = True
