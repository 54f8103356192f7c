"""The verbs of assistants. Each commits once."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from server.agents import assistants
from server.agents.assistants import Order, Wanted
from server.agents.models import Assistant, AssistantVersion
from server.agents.rules import agreed, changed
from server.kit.clock import new_id, now
from server.kit.db import commit, db
from server.kit.errors import Conflict, Forbidden, NotFound

__all__ = ["change", "changeable", "count", "create", "delete", "know_graphs", "search", "set_latest", "show"]

UNNAMED = "Untitled"
KEPT = ("graph_id", "name", "description", "config", "context", "about", "version")


class SystemAssistant(Forbidden):
    """A graph's own assistant belongs to everybody and cannot be changed; create one of your own."""


def know_graphs() -> None:
    """Give each graph of the catalogue that has none yet its own assistant; one small query where there is nothing to do."""
    ids = assistants.system_ids()
    known = set(db.session.scalars(sa.select(Assistant.id).where(Assistant.id.in_(list(ids)), Assistant.owner_id.is_(None))))
    missing = sorted(ids.keys() - known)
    if not missing:
        return
    same = {"config": {}, "context": {}, "about": assistants.SYSTEM, "version": 1, "created_at": now(), "updated_at": now()}
    adding = insert(Assistant).values([{"id": each, "graph_id": ids[each], "name": ids[each], **same} for each in missing])
    # Whoever has taken the id beforehand loses it: it stands for the graph.
    taken = {
        name: adding.excluded[name] for name in ("owner_id", "graph_id", "name", "description", "config", "context", "metadata", "version")
    }
    db.session.execute(adding.on_conflict_do_update(index_elements=["id"], set_=taken, where=Assistant.owner_id.is_not(None)))
    commit()


# -- reading -----------------------------------------------------------------------------------------------------------


def show(owner_id: uuid.UUID, assistant_id: uuid.UUID) -> Assistant:
    """The assistant of that id which the owner sees. Raises NotFound."""
    if assistant_id in assistants.system_ids():
        know_graphs()
    return assistants.visible(owner_id, assistant_id)


def search(owner_id: uuid.UUID, wanted: Wanted, order: Order, *, limit: int, offset: int) -> tuple[list[Assistant], int]:
    """A page of the assistants that the owner sees, and how many there are in all. Raises NotFound for an unknown graph."""
    if wanted.graph_id is not None:
        assistants.known_graph(wanted.graph_id)
    know_graphs()
    found = assistants.listed(owner_id, wanted, order, limit=limit, offset=offset)
    is_last = len(found) < limit and (found or not offset)
    return found, offset + len(found) if is_last else assistants.counted(owner_id, wanted)


def count(owner_id: uuid.UUID, wanted: Wanted) -> int:
    """How many assistants the owner sees. Raises NotFound for an unknown graph."""
    if wanted.graph_id is not None:
        assistants.known_graph(wanted.graph_id)
    know_graphs()
    return assistants.counted(owner_id, wanted)


# -- writing -----------------------------------------------------------------------------------------------------------


def create(
    owner_id: uuid.UUID,
    *,
    graph_id: str,
    assistant_id: uuid.UUID | None = None,
    name: str = "",
    description: str | None = None,
    config: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    keep_existing: bool = False,
) -> Assistant:
    """A new assistant of a graph, as its version 1.

    keep_existing: where the owner sees an assistant of that id already, it is returned as it is.
    Raises NotFound for an unknown graph, Conflict for an id that is taken, BothGiven.
    """
    assistants.known_graph(graph_id)
    config, context = agreed(config or {}, context or {})
    made_at = now()
    key = assistant_id or new_id()
    values = {
        "id": key,
        "owner_id": owner_id,
        "graph_id": graph_id,
        "name": name or UNNAMED,
        "description": description,
        "config": config,
        "context": context,
        "about": about or {},
        "version": 1,
        "created_at": made_at,
        "updated_at": made_at,
    }
    know_graphs()
    added = insert(Assistant).values(values).on_conflict_do_nothing(index_elements=["id"]).returning(Assistant)
    made = db.session.scalars(added).one_or_none()
    if made is None:
        return _existing(owner_id, key, keep_existing=keep_existing)
    _remember(made)
    commit()
    return made


def _existing(owner_id: uuid.UUID, assistant_id: uuid.UUID, *, keep_existing: bool) -> Assistant:
    taken = Conflict(f"Assistant {assistant_id} already exists")
    if not keep_existing:
        raise taken
    try:
        return assistants.visible(owner_id, assistant_id)
    except NotFound:
        raise taken from None


def change(
    owner_id: uuid.UUID,
    assistant_id: uuid.UUID,
    *,
    config: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    **given: str,
) -> Assistant:
    """The assistant in a new version: `about` is merged into what is there, and what is given of graph_id, name, description replaces it.

    Raises NotFound, SystemAssistant, BothGiven.
    """
    if "graph_id" in given:
        assistants.known_graph(given["graph_id"])
    assistant = changeable(owner_id, assistant_id, lock=True)
    assistant.config, assistant.context = changed((assistant.config, assistant.context), config, context)
    assistant.about = {**assistant.about, **(about or {})}
    for name, value in given.items():
        setattr(assistant, name, value)
    newest = sa.select(sa.func.max(AssistantVersion.version)).where(AssistantVersion.assistant_id == assistant_id)
    assistant.version = db.session.scalars(newest).one() + 1
    assistant.updated_at = now()
    _remember(assistant)
    commit()
    return assistant


def set_latest(owner_id: uuid.UUID, assistant_id: uuid.UUID, version: int) -> Assistant:
    """The assistant as it was in that version, which is in force again; the others are kept. Raises NotFound, SystemAssistant."""
    assistant = changeable(owner_id, assistant_id, lock=True)
    kept = db.session.get(AssistantVersion, (assistant_id, version))
    if kept is None:
        raise NotFound(f"Version {version} not found for assistant {assistant_id}")
    for name in KEPT:
        setattr(assistant, name, getattr(kept, name))
    assistant.updated_at = now()
    commit()
    return assistant


def delete(owner_id: uuid.UUID, assistant_id: uuid.UUID) -> None:
    """The assistant and its versions are gone; runs that were begun with it go on. Raises NotFound, SystemAssistant."""
    db.session.delete(changeable(owner_id, assistant_id, lock=True))
    commit()


def changeable(owner_id: uuid.UUID, assistant_id: uuid.UUID, *, lock: bool = False) -> Assistant:
    """The owner's assistant of that id. Raises NotFound, and SystemAssistant for a graph's own.

    lock: whoever else would change it waits until the end of the transaction.
    """
    if assistant_id in assistants.system_ids():
        raise SystemAssistant
    return assistants.owned(owner_id, assistant_id, lock=lock)


def _remember(assistant: Assistant) -> None:
    """Keep the assistant's version in force among its versions."""
    facts = {name: getattr(assistant, name) for name in KEPT}
    db.session.add(AssistantVersion(assistant_id=assistant.id, created_at=assistant.updated_at, **facts))
