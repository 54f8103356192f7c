"""Which assistants somebody has, and who may change them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.agents import actions, assistants, catalogue
from server.agents.assistants import Order, Wanted, system_id
from server.agents.models import Assistant, AssistantVersion
from server.agents.rules import BothGiven, agreed, changed
from server.kit.db import db
from server.kit.errors import Conflict, Forbidden, Invalid, NotFound
from tests.runs import factories

NOBODYS = uuid.UUID("0199d1a5-0000-7000-8000-000000000000")
SHIPPED = ("assistant", "documents", "echo")
ECHO = system_id("echo")

Make = Callable[..., Assistant]


@pytest.fixture
def me(app: Flask) -> uuid.UUID:
    return factories.owner()


@pytest.fixture
def somebody_else(app: Flask) -> uuid.UUID:
    return factories.owner()


@pytest.fixture
def make(me: uuid.UUID) -> Make:
    return lambda owner_id=me, graph_id="echo", **facts: actions.create(owner_id, graph_id=graph_id, **facts)


def names(owner_id: uuid.UUID, wanted: Wanted | None = None, order: Order | None = None, *, limit: int = 100, offset: int = 0) -> list[str]:
    found, _ = actions.search(owner_id, wanted or Wanted(), order or Order(), limit=limit, offset=offset)
    return [each.name for each in found]


# -- configuration and context -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "context", "kept"),
    [
        ({}, {}, ({}, {})),
        ({"tags": ["a"]}, {}, ({"tags": ["a"]}, {})),
        ({"configurable": {"a": 1}}, {}, ({"configurable": {"a": 1}}, {"a": 1})),
        ({"configurable": {}}, {"a": 1}, ({"configurable": {"a": 1}}, {"a": 1})),
        ({"tags": ["a"]}, {"a": 1}, ({"tags": ["a"], "configurable": {"a": 1}}, {"a": 1})),
    ],
)
def test_what_is_given_of_configuration_and_context_is_found_in_both(config: Any, context: Any, kept: Any) -> None:
    assert agreed(config, context) == kept


@pytest.mark.parametrize("context", [{"b": 2}, {"a": 1}])
def test_configurable_and_context_are_not_given_together(context: Any) -> None:
    with pytest.raises(BothGiven):
        agreed({"configurable": {"a": 1}}, context)


KEPT = ({"tags": ["t"], "configurable": {"a": 1}}, {"a": 1})


@pytest.mark.parametrize(
    ("config", "context", "after"),
    [
        (None, None, KEPT),
        ({}, None, KEPT),
        (None, {"b": 2}, ({"tags": ["t"], "configurable": {"b": 2}}, {"b": 2})),
        (None, {}, ({"tags": ["t"]}, {})),
        ({"recursion_limit": 3}, None, ({"recursion_limit": 3}, {"a": 1})),
        ({"configurable": {"c": 1}}, {}, ({"configurable": {"c": 1}}, {"c": 1})),
        ({"tags": ["u"]}, {"b": 2}, ({"tags": ["u"], "configurable": {"b": 2}}, {"b": 2})),
    ],
)
def test_a_change_leaves_what_was_not_given(config: Any, context: Any, after: Any) -> None:
    assert changed(KEPT, config, context) == after


# -- by name or id -----------------------------------------------------------------------------------------------------


def test_a_graphs_name_and_its_id_stand_for_its_own_assistant_without_a_query(me: uuid.UUID) -> None:
    for text in ("echo", str(ECHO), str(ECHO).upper()):
        found = assistants.resolve(me, text)
        assert (found.id, found.graph_id, found.config, found.context, found.version) == (ECHO, "echo", {}, {}, 1)
        assert found.about == {"created_by": "system"}
    assert str(ECHO) == "046b5dc7-2108-582c-9c6c-31d556d138f0"
    assert db.session.scalars(sa.select(Assistant)).all() == []


def test_the_id_of_ones_own_assistant_is_resolved(me: uuid.UUID, make: Make) -> None:
    made = make(name="Mine", context={"tone": "dry"}, about={"k": 1}, description="D")
    found = assistants.resolve(me, str(made.id))
    assert (found.name, found.context, found.about, found.description) == ("Mine", {"tone": "dry"}, {"k": 1}, "D")


@pytest.mark.parametrize("text", ["nope", "", " ", "ECHO", "echo ", "046b5dc7", "x" * 5000])
def test_what_is_neither_an_id_nor_a_graph_is_refused_with_the_graphs_that_there_are(me: uuid.UUID, text: str) -> None:
    with pytest.raises(Invalid, match=r"Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: .*echo"):
        assistants.resolve(me, text)


def test_an_unknown_id_and_somebody_elses_are_not_found(me: uuid.UUID, somebody_else: uuid.UUID, make: Make) -> None:
    theirs = make(somebody_else)
    for unknown in (NOBODYS, theirs.id, system_id("no graph")):
        with pytest.raises(NotFound):
            assistants.resolve(me, str(unknown))
        with pytest.raises(NotFound):
            actions.show(me, unknown)


# -- the system's own --------------------------------------------------------------------------------------------------


def test_every_graph_has_an_assistant_of_its_own_that_everybody_sees(me: uuid.UUID, somebody_else: uuid.UUID) -> None:
    graphs = {agent.agent_id for agent in catalogue.listed()}
    assert graphs.issuperset(SHIPPED)
    for owner_id in (me, somebody_else):
        assert set(names(owner_id, Wanted(about={"created_by": "system"}))) == graphs
        assert actions.count(owner_id, Wanted()) == len(graphs)
    shown = actions.show(me, ECHO)
    assert (shown.name, shown.version, shown.owner_id) == ("echo", 1, None)
    assert [each.version for each in assistants.versions(shown, {}, limit=10, offset=0)] == [1]
    assert assistants.versions(shown, {"created_by": "me"}, limit=10, offset=0) == []
    assert assistants.versions(shown, {}, limit=10, offset=1) == []


@pytest.mark.parametrize(
    "verb",
    [
        lambda me: actions.change(me, ECHO, name="Mine"),
        lambda me: actions.change(me, ECHO),
        lambda me: actions.set_latest(me, ECHO, 1),
        lambda me: actions.delete(me, ECHO),
        lambda me: actions.changeable(me, ECHO),
    ],
)
def test_nobody_changes_a_graphs_own_assistant(me: uuid.UUID, verb: Callable[[uuid.UUID], object]) -> None:
    with pytest.raises(Forbidden, match="belongs to everybody"):
        verb(me)


def test_whoever_takes_the_id_of_a_graph_that_comes_later_loses_it(me: uuid.UUID, make: Make) -> None:
    db.session.add(
        Assistant(id=ECHO, owner_id=me, graph_id="documents", name="Squatter", config={}, context={"evil": 1}, about={}, version=3)
    )
    db.session.commit()
    shown = actions.show(me, ECHO)
    db.session.refresh(shown)
    assert (shown.owner_id, shown.graph_id, shown.name, shown.context, shown.version) == (None, "echo", "echo", {}, 1)


def test_the_assistant_of_a_graph_that_is_gone_is_seen_no_more(me: uuid.UUID) -> None:
    gone = system_id("gone")
    db.session.add(Assistant(id=gone, owner_id=None, graph_id="gone", name="gone", config={}, context={}, about={}))
    db.session.commit()
    assert "gone" not in names(me)
    assert actions.count(me, Wanted()) == len(catalogue.listed())
    with pytest.raises(NotFound):
        actions.show(me, gone)


def test_reading_again_writes_nothing_again(me: uuid.UUID) -> None:
    names(me)
    before = db.session.execute(sa.text("SELECT max(xmin::text::bigint) FROM assistants")).scalar_one()
    names(me)
    actions.show(me, ECHO)
    assert db.session.execute(sa.text("SELECT max(xmin::text::bigint) FROM assistants")).scalar_one() == before


# -- creating ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph_id", ["nope", "", "ECHO", str(ECHO)])
def test_an_assistant_of_an_unknown_graph_is_not_made(make: Make, graph_id: str) -> None:
    with pytest.raises(NotFound, match=r"Expected one of: .*'echo'"):
        make(graph_id=graph_id)


def test_an_id_is_taken_once_whoever_has_it(me: uuid.UUID, somebody_else: uuid.UUID, make: Make) -> None:
    mine, theirs = make(), make(somebody_else)
    for taken in (mine.id, theirs.id, ECHO):
        with pytest.raises(Conflict, match=f"Assistant {taken} already exists"):
            make(assistant_id=taken)
    with pytest.raises(Conflict):
        make(assistant_id=theirs.id, keep_existing=True)


def test_an_existing_assistant_is_kept_as_it_is(me: uuid.UUID, make: Make) -> None:
    mine = make(name="First")
    assert make(assistant_id=mine.id, keep_existing=True, name="Second").name == "First"
    assert make(assistant_id=ECHO, keep_existing=True).name == "echo"


# -- versions ----------------------------------------------------------------------------------------------------------


def test_each_change_is_a_version_and_an_earlier_one_comes_back_whole(me: uuid.UUID, make: Make) -> None:
    made = make(name="One", context={"tone": "dry"}, about={"k": 1}, description="D")
    actions.change(me, made.id, graph_id="documents", name="Two", context={"tone": "wet"}, about={"z": 2})
    actions.change(me, made.id)
    now = actions.show(me, made.id)
    assert (now.version, now.graph_id, now.name, now.context, now.about) == (3, "documents", "Two", {"tone": "wet"}, {"k": 1, "z": 2})

    back = actions.set_latest(me, made.id, 1)
    assert (back.version, back.graph_id, back.name, back.context, back.about) == (1, "echo", "One", {"tone": "dry"}, {"k": 1})
    assert back.updated_at > back.created_at

    assert actions.change(me, made.id, name="Four").version == 4
    kept = assistants.versions(back, {}, limit=10, offset=0)
    assert [(each.version, each.name) for each in kept] == [(4, "Four"), (3, "Two"), (2, "Two"), (1, "One")]
    assert [each.version for each in assistants.versions(back, {"z": 2}, limit=1, offset=1)] == [2]


@pytest.mark.parametrize("version", [0, 2, 2**31 - 1])
def test_a_version_that_there_is_not_does_not_come_back(me: uuid.UUID, make: Make, version: int) -> None:
    made = make()
    with pytest.raises(NotFound, match=f"Version {version} not found"):
        actions.set_latest(me, made.id, version)


def test_a_refused_change_leaves_everything_as_it_was(me: uuid.UUID, make: Make) -> None:
    made = make(name="One")
    refused: list[dict[str, Any]] = [{"graph_id": "nope"}, {"config": {"configurable": {"a": 1}}, "context": {"b": 2}, "name": "Two"}]
    for change in refused:
        with pytest.raises((NotFound, BothGiven)):
            actions.change(me, made.id, **change)
        db.session.rollback()
    shown = actions.show(me, made.id)
    assert (shown.name, shown.version) == ("One", 1)


@pytest.mark.parametrize(
    "verb",
    [
        lambda owner, known: actions.change(owner, known, name="x"),
        lambda owner, known: actions.set_latest(owner, known, 1),
        lambda owner, known: actions.delete(owner, known),
        lambda owner, known: actions.changeable(owner, known),
    ],
)
def test_somebody_elses_assistant_is_not_found(somebody_else: uuid.UUID, make: Make, verb: Callable[..., object]) -> None:
    mine = make()
    with pytest.raises(NotFound):
        verb(somebody_else, mine.id)
    with pytest.raises(NotFound):
        verb(somebody_else, NOBODYS)


def test_a_deleted_assistant_is_gone_with_its_versions(me: uuid.UUID, make: Make) -> None:
    made = make()
    actions.change(me, made.id, name="Two")
    actions.delete(me, made.id)
    with pytest.raises(NotFound):
        actions.show(me, made.id)
    assert db.session.scalars(sa.select(AssistantVersion)).all() == []


# -- searching ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(make: Make, somebody_else: uuid.UUID) -> None:
    make(name="Ada 100%", about={"team": "a", "n": {"deep": 1, "more": 2}})
    make(name="ben_x", about={"team": "b"}, graph_id="documents")
    make(name="Cleo", about={"team": "a"})
    make(somebody_else, name="Theirs", about={"team": "a"})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(name="ada"), ["Ada 100%"]),
        (Wanted(name="%"), ["Ada 100%"]),
        (Wanted(name="_"), ["ben_x"]),
        (Wanted(name="nobody"), []),
        (Wanted(about={"team": "a"}), ["Cleo", "Ada 100%"]),
        (Wanted(about={"n": {"deep": 1}}), ["Ada 100%"]),
        (Wanted(about={"team": "A"}), []),
        (Wanted(about={"team": "a", "x": 1}), []),
        (Wanted(must={"team": "a"}), ["Cleo", "Ada 100%"]),
        (Wanted(about={"team": "b"}, must={"team": "a"}), []),
        (Wanted(name="e", must={"created_by": "system"}), ["documents", "echo"]),
        (Wanted(graph_id="documents"), ["ben_x", "documents"]),
        (Wanted(graph_id="echo", name="e"), ["Cleo", "echo"]),
        (Wanted(graph_id="echo", about={"created_by": "system"}), ["echo"]),
    ],
)
def test_a_search_finds_ones_own_and_the_systems(me: uuid.UUID, several: None, wanted: Wanted, found: list[str]) -> None:
    assert names(me, wanted) == found
    assert actions.count(me, wanted) == len(found)


@pytest.mark.parametrize(
    ("by", "is_descending"), [(by, way) for by in ("assistant_id", "created_at", "updated_at", "name", "graph_id") for way in (True, False)]
)
def test_pages_in_any_order_hold_everybody_once(me: uuid.UUID, several: None, by: str, is_descending: bool) -> None:
    order = Order(by, is_descending=is_descending)
    whole, total = actions.search(me, Wanted(), order, limit=100, offset=0)
    pages = [actions.search(me, Wanted(), order, limit=2, offset=offset) for offset in range(0, total + 4, 2)]
    assert total == len(whole) == 3 + len(catalogue.listed())
    assert [each.id for page, _ in pages for each in page] == [each.id for each in whole]
    assert {counted for _, counted in pages} == {total}
    if by != "name":  # the database's own order of letters
        keys = [each.id if by == "assistant_id" else getattr(each, by) for each in whole]
        assert keys == sorted(keys, reverse=is_descending)


def test_a_search_for_an_unknown_graph_is_refused(me: uuid.UUID) -> None:
    for verb in (lambda: names(me, Wanted(graph_id="nope")), lambda: actions.count(me, Wanted(graph_id="nope"))):
        with pytest.raises(NotFound, match="Graph 'nope' not found"):
            verb()
