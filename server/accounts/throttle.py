"""How often a password may be wrong: counted for the account and for the network it comes from, in the database.

A try is counted before the password is looked at, so that many at once are no way around, and taken back when it was right.
What is refused is not counted, so that nobody is locked out for longer than the window.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from server.accounts.models import SignInTries
from server.accounts.rules import network
from server.kit.clock import after, now
from server.kit.db import commit, db
from server.kit.errors import TooMany
from server.settings import Settings

__all__ = ["Throttle", "TooManyTries", "sweep"]

# A network may hold many people.
NETWORK_FACTOR = 5


class TooManyTries(TooMany):
    """Too many wrong passwords; try again later."""


@dataclass(frozen=True)
class Throttle:
    """How many tries there are in a window, and where this one comes from."""

    tries: int
    window_s: int
    network: str

    @classmethod
    def of(cls, settings: Settings, address: str | None) -> Throttle:
        """The throttle for tries from an IP address."""
        return cls(settings.login_tries, settings.login_window_s, network(address))

    def begin(self, user_id: uuid.UUID | None) -> None:
        """Count a try, and commit. user_id: the account it is for; None when there is none of that address.

        Raises TooManyTries, with nothing counted.
        """
        self._count(f"network:{self.network}", self.tries * NETWORK_FACTOR)
        if user_id is not None:
            self._count(f"account:{user_id}", self.tries)
        commit()

    def succeeded(self, user_id: uuid.UUID) -> None:
        """Forget the account's wrong tries and take this one back from the network's, in the caller's transaction."""
        db.session.execute(sa.delete(SignInTries).where(SignInTries.name == f"account:{user_id}"))
        mine = sa.and_(SignInTries.name == f"network:{self.network}", SignInTries.tries > 0)
        db.session.execute(sa.update(SignInTries).where(mine).values(tries=SignInTries.tries - 1))

    def _count(self, name: str, limit: int) -> None:
        is_over = SignInTries.ends_at <= now()
        first = insert(SignInTries).values(name=name, tries=1, ends_at=after(self.window_s))
        counted = first.on_conflict_do_update(
            index_elements=[SignInTries.name],
            set_={
                "tries": sa.case((is_over, 1), else_=SignInTries.tries + 1),
                "ends_at": sa.case((is_over, first.excluded.ends_at), else_=SignInTries.ends_at),
            },
            where=sa.or_(is_over, SignInTries.tries < limit),
        )
        if db.session.scalar(counted.returning(SignInTries.tries)) is None:
            raise TooManyTries(retry_after_s=_seconds_left(name))


def _seconds_left(name: str) -> int:
    ends_at = db.session.scalar(sa.select(SignInTries.ends_at).where(SignInTries.name == name))
    return max(1, math.ceil((ends_at - now()).total_seconds())) if ends_at else 1


def sweep(moment: dt.datetime) -> None:
    """Forget the windows that were over at that moment, in the caller's transaction."""
    db.session.execute(sa.delete(SignInTries).where(SignInTries.ends_at <= moment))
