"""The table of moves, walked: what it allows happens to a row, what it does not is refused and changes nothing."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from server.kit.db import commit, db, rollback
from server.kit.errors import Conflict
from server.runs import actions
from server.runs.models import Run
from server.runs.rules import ACTIVE, ENDED, MOVES, may_move
from tests.runs.factories import accepted, stored

PAIRS = [(before, after) for before in MOVES for after in MOVES]


def in_status(status: str) -> uuid.UUID:
    run_id = accepted()
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(status=status))
    commit()
    return run_id


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_run_moves_as_the_table_says_and_no_other_way(owner_id: uuid.UUID, before: str, after: str) -> None:
    run_id = in_status(before)
    run = db.session.get_one(Run, run_id, with_for_update=True)
    if may_move(before, after):
        actions.move(run, after)
        commit()
        assert stored(run_id).status == after
        return
    with pytest.raises(Conflict, match=f"{before} cannot become {after}"):
        actions.move(run, after)
    rollback()
    assert stored(run_id).status == before


def test_nothing_leads_out_of_an_end() -> None:
    assert {"success", "error", "timeout", "cancelled"} == ENDED
    assert not any(may_move(end, to) for end in ENDED for to in MOVES)


def test_every_state_can_be_left_behind() -> None:
    def reachable(status: str, seen: frozenset[str] = frozenset()) -> set[str]:
        following = MOVES[status] - seen
        return {status}.union(*(reachable(each, seen | {status}) for each in following))

    assert all(reachable(status) & ENDED for status in ACTIVE)
    assert reachable("pending") == set(MOVES)


def test_the_database_lets_no_two_runs_of_a_thread_run(owner_id: uuid.UUID) -> None:
    first, second = accepted(owner_id, thread_id="t"), accepted(owner_id, thread_id="t")
    db.session.execute(sa.update(Run).where(Run.id == first).values(status="running"))
    with pytest.raises(sa.exc.IntegrityError):
        db.session.execute(sa.update(Run).where(Run.id == second).values(status="running"))
    rollback()
