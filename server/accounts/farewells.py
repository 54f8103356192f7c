"""What rooms above keep of somebody, or of something, where no foreign key reaches: they let go of it when that is deleted."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from flask import current_app
from flask.sansio.app import App

__all__ = ["before_delete", "take_leave"]

LetGo = Callable[[uuid.UUID], None]


def before_delete(what: str, app: App, let_go: LetGo) -> None:
    """Call `let_go(id)` in the transaction that deletes a `user` or a `workspace`, before its rows go."""
    app.extensions.setdefault("farewells", {}).setdefault(what, []).append(let_go)


def take_leave(what: str, leaving_id: uuid.UUID) -> None:
    """Let every room that asked for it let go of what is about to be deleted, in the caller's transaction."""
    farewells: dict[str, list[LetGo]] = current_app.extensions.get("farewells", {})
    for let_go in farewells.get(what, ()):
        let_go(leaving_id)
