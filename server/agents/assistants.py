"""Which assistants somebody has: their own, and the system's own, of which each graph of the catalogue has one.

A system assistant is known from the catalogue alone: its id is made of the graph's, its configuration is empty, and nobody can
change it. It has a row too (`actions.know_graphs`), so that lists show when it came and mix it with the others.
"""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.agents import catalogue
from server.agents.models import Assistant, AssistantVersion
from server.kit.db import db
from server.kit.errors import Invalid, NotFound
from server.kit.http import parse_id

__all__ = [
    "SYSTEM",
    "Order",
    "Wanted",
    "counted",
    "known_graph",
    "listed",
    "owned",
    "resolve",
    "system_id",
    "system_ids",
    "versions",
    "visible",
]

# What the ecosystem's clients make the id of a graph's own assistant with. Source: langgraph-sdk, the assistants of a graph.
NAMESPACE = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
SYSTEM: dict[str, Any] = {"created_by": "system"}


@dataclass(frozen=True)
class Wanted:
    """Which assistants somebody looks for; None and {} leave a side open.

    name: part of it, in any case.
    about, must: what their metadata contain, as the caller wishes and as the caller may only see.
    """

    graph_id: str | None = None
    name: str | None = None
    about: dict[str, Any] = field(default_factory=dict)
    must: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """In which order they come; those that are equal in it come by their id."""

    by: str = "created_at"
    is_descending: bool = True


# -- the system's own --------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def system_id(graph_id: str) -> uuid.UUID:
    """The id of a graph's own assistant."""
    return uuid.uuid5(NAMESPACE, graph_id)


def system_ids() -> dict[uuid.UUID, str]:
    """The graphs of the catalogue, by the ids of their own assistants."""
    return {system_id(agent.agent_id): agent.agent_id for agent in catalogue.listed()}


def known_graph(graph_id: str) -> str:
    """The graph's id, if the catalogue has it. Raises NotFound with those that it has."""
    if catalogue.get(graph_id) is None:
        raise NotFound(f"Graph '{graph_id}' not found. Expected one of: {sorted(agent.agent_id for agent in catalogue.listed())}")
    return graph_id


# -- one of them -------------------------------------------------------------------------------------------------------


def resolve(owner_id: uuid.UUID, assistant_id: str) -> Assistant:
    """The assistant that a run names: by a graph's id, or by its own. A graph's own costs no query, and is in no session.

    Raises Invalid (422) for what is neither an id nor a graph, NotFound for an id that the owner has no assistant of.
    """
    if catalogue.get(assistant_id) is not None:
        return _systems_own(assistant_id)
    known = parse_id(assistant_id)
    if known is None:
        graphs = ", ".join(agent.agent_id for agent in catalogue.listed())
        raise Invalid(
            f"Invalid assistant: '{assistant_id}'. Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: {graphs}"
        )
    graph_id = system_ids().get(known) if known.version == 5 else None
    return _systems_own(graph_id) if graph_id is not None else owned(owner_id, known)


def owned(owner_id: uuid.UUID, assistant_id: uuid.UUID, *, lock: bool = False) -> Assistant:
    """The owner's assistant of that id. Raises NotFound where it is somebody else's, the system's, or nobody's.

    lock: it stays as it is until the end of the transaction.
    """
    rows = sa.select(Assistant).where(Assistant.id == assistant_id, Assistant.owner_id == owner_id)
    rows = rows.with_for_update().execution_options(populate_existing=True) if lock else rows
    found = db.session.scalars(rows).one_or_none()
    if found is None:
        raise NotFound(f"Assistant {assistant_id} not found")
    return found


def visible(owner_id: uuid.UUID, assistant_id: uuid.UUID) -> Assistant:
    """The assistant of that id which is the owner's or a graph's own, as it is stored. Raises NotFound."""
    rows = sa.select(Assistant).where(Assistant.id == assistant_id)
    whose = Assistant.owner_id.is_(None) if assistant_id in system_ids() else Assistant.owner_id == owner_id
    found = db.session.scalars(rows.where(whose)).one_or_none()
    if found is None:
        raise NotFound(f"Assistant {assistant_id} not found")
    return found


def _systems_own(graph_id: str) -> Assistant:
    return Assistant(id=system_id(graph_id), graph_id=graph_id, name=graph_id, config={}, context={}, about=dict(SYSTEM), version=1)


# -- many of them ------------------------------------------------------------------------------------------------------


def listed(owner_id: uuid.UUID, wanted: Wanted, order: Order, *, limit: int, offset: int) -> list[Assistant]:
    """A page of the assistants that the owner sees.

    The owner's own and the system's own are each read by their index as far as the page goes, and then mixed.
    """
    halves = [_ordered(rows, Assistant, order).limit(offset + limit) for rows in _seen(sa.select(Assistant), owner_id, wanted)]
    both = sa.union_all(*(sa.select(half.subquery()) for half in halves)).subquery()
    mixed = aliased(Assistant, both)
    return list(db.session.scalars(_ordered(sa.select(mixed), mixed, order).limit(limit).offset(offset)))


def counted(owner_id: uuid.UUID, wanted: Wanted) -> int:
    """How many assistants the owner sees."""
    mine, systems = _seen(sa.select(sa.func.count()).select_from(Assistant), owner_id, wanted)
    return int(db.session.execute(sa.select(mine.scalar_subquery() + systems.scalar_subquery())).scalar_one())


def versions(assistant: Assistant, about: dict[str, Any], *, limit: int, offset: int) -> list[AssistantVersion]:
    """What an assistant has been, the newest first. A system's own has always been the same."""
    if assistant.owner_id is None:
        only = _first_version(assistant)
        return [only][offset : offset + limit] if about.items() <= only.about.items() else []
    rows = sa.select(AssistantVersion).where(AssistantVersion.assistant_id == assistant.id)
    if about:
        rows = rows.where(AssistantVersion.about.contains(about))
    return list(db.session.scalars(rows.order_by(AssistantVersion.version.desc()).limit(limit).offset(offset)))


def _first_version(assistant: Assistant) -> AssistantVersion:
    kept = ("graph_id", "name", "description", "config", "context", "about", "version", "created_at")
    return AssistantVersion(assistant_id=assistant.id, **{name: getattr(assistant, name) for name in kept})


def _seen(rows: sa.Select[Any], owner_id: uuid.UUID, wanted: Wanted) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """The rows of the owner, and those of the system, that are wanted."""
    if wanted.graph_id is not None:
        rows = rows.where(Assistant.graph_id == wanted.graph_id)
    if wanted.name:
        rows = rows.where(Assistant.name.icontains(wanted.name, autoescape=True))
    for held in filter(None, (wanted.about, wanted.must)):
        rows = rows.where(Assistant.about.contains(held))
    systems = rows.where(Assistant.owner_id.is_(None), Assistant.id.in_(list(system_ids())))
    return rows.where(Assistant.owner_id == owner_id), systems


def _ordered(rows: sa.Select[Any], table: Any, order: Order) -> sa.Select[Any]:
    column = table.id if order.by == "assistant_id" else getattr(table, order.by)
    columns = (column,) if order.by == "assistant_id" else (column, table.id)
    return rows.order_by(*(each.desc() if order.is_descending else each.asc() for each in columns))
