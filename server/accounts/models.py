"""The tables of accounts, and what is read of them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.accounts.rules import OUTSIDE, email_key, outside_key
from server.kit.clock import new_id, now
from server.kit.db import Base, db

__all__ = [
    "ApiKey",
    "Login",
    "SignInTries",
    "UsedString",
    "User",
    "api_keys_of",
    "first_user",
    "key_and_user",
    "living",
    "login_and_user",
    "outsider",
    "user_by_email",
    "user_by_id",
]


class User(Base):
    """Somebody with an account."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    # As it was typed; `email_key` is what is compared.
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    is_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[dt.datetime] = mapped_column(default=now)


class Login(Base):
    """One sign-in: all its access tokens and the line of its refresh tokens end with it."""

    __tablename__ = "logins"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    ended_at: Mapped[dt.datetime | None]
    # The number that the refresh token in force carries, and since when.
    refreshes: Mapped[int] = mapped_column(default=0)
    refreshed_at: Mapped[dt.datetime | None]

    def is_over(self) -> bool:
        """Whether it was ended or has expired."""
        return self.ended_at is not None or self.expires_at <= now()


class ApiKey(Base):
    """A key that stands for its user; only its digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    # Exact to a minute.
    last_used_at: Mapped[dt.datetime | None]


class UsedString(Base):
    """A one-use string that was used; being unique is what makes it one use."""

    __tablename__ = "used_strings"

    id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)


class SignInTries(Base):
    """Wrong passwords, counted by account or by network, in the window that ends at `ends_at`."""

    __tablename__ = "sign_in_tries"

    name: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]
    ends_at: Mapped[dt.datetime] = mapped_column(index=True)


def user_by_email(email: str) -> User | None:
    """The account of an address, however it is spelled."""
    return db.session.scalar(sa.select(User).where(User.email_key == email_key(email)))


def user_by_id(user_id: uuid.UUID) -> User | None:
    """The account of an id."""
    return db.session.scalar(sa.select(User).where(User.id == user_id))


def outsider(identity: str) -> User | None:
    """The account of somebody whom an operator's handlers know by this name."""
    return db.session.scalar(sa.select(User).where(User.email_key == outside_key(identity)))


def first_user() -> User | None:
    """The oldest account of somebody who can sign in."""
    registered = sa.select(User).where(User.email_key.not_like(f"{OUTSIDE}%"))
    return db.session.scalar(registered.order_by(User.created_at, User.id).limit(1))


def login_and_user(login_id: uuid.UUID) -> tuple[Login, User] | None:
    """A sign-in, over or not, and whose it is: one query. None once the user is deleted."""
    found = sa.select(Login, User).join(User, User.id == Login.user_id).where(Login.id == login_id)
    row = db.session.execute(found, execution_options={"populate_existing": True}).first()
    return (row[0], row[1]) if row else None


# Made once: it is asked with every request that shows a key.
KEY_AND_USER = (
    sa.select(ApiKey, User)
    .join(User, User.id == ApiKey.user_id)
    .where(ApiKey.digest == sa.bindparam("key_digest"))
    .execution_options(populate_existing=True)
)


def key_and_user(key_digest: str) -> tuple[ApiKey, User] | None:
    """The API key of a digest and whose it is: one query."""
    row = db.session.execute(KEY_AND_USER, {"key_digest": key_digest}).first()
    return (row[0], row[1]) if row else None


def api_keys_of(user_id: uuid.UUID) -> Sequence[ApiKey]:
    """A user's API keys, oldest first."""
    return db.session.scalars(sa.select(ApiKey).where(ApiKey.user_id == user_id).order_by(ApiKey.id)).all()


def living(ids_by_kind: Mapping[str, Collection[uuid.UUID]]) -> set[uuid.UUID]:
    """Those of the ids that are a sign-in in force (`login`), an API key (`key`) or a user (`open`): one query for all."""
    every = {
        "login": sa.select(Login.id).where(Login.ended_at.is_(None), Login.expires_at > now()),
        "key": sa.select(ApiKey.id),
        "open": sa.select(User.id),
    }
    asked = [every[kind].where(every[kind].selected_columns.id.in_(ids)) for kind, ids in ids_by_kind.items() if kind in every and ids]
    if not asked:
        return set()
    return set(db.session.scalars(sa.union_all(*asked) if len(asked) > 1 else asked[0]))
