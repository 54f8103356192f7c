"""What clients ask of a server before they use it: whether it is well, and what it can do."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from server.kit.db import db, release
from server.kit.errors import Unavailable
from server.kit.http import answer, query
from server.kit.version import version_of
from server.langgraph_api.dialect import new_door
from server.langgraph_api.info_schemas import Info, Ok, OkQuery

__all__ = ["door"]

door = new_door("info")

# What a client may count on. Source: the flags that langgraph-sdk looks for.
FLAGS = {"assistants": True, "crons": True, "langsmith": False, "langsmith_tracing_replicas": False, "strict_resume": True}


@door.get("/ok")
@query(OkQuery)
@answer(Ok)
def is_ok(asked: dict[str, Any]) -> dict[str, bool]:
    """Tell that the server answers; with `check_db=1` that its database does too. Refused: 503."""
    if asked["check_db"]:
        try:
            db.session.execute(sa.text("SELECT 1"))
        except SQLAlchemyError:
            raise Unavailable("The database does not answer.") from None
        finally:
            release()
    return {"ok": True}


@door.get("/info")
@answer(Info)
def info() -> dict[str, Any]:
    """Tell the versions, and what a client may count on."""
    return {"version": version_of(), "langgraph_py_version": version_of("langgraph"), "flags": FLAGS}
