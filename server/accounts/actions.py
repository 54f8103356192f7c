"""What can be done with accounts, sign-ins, API keys and one-use strings. Each verb commits, where it does not say otherwise."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from server.accounts import passwords, throttle
from server.accounts.farewells import take_leave
from server.accounts.models import ApiKey, Login, UsedString, User, first_user, login_and_user, outsider, user_by_email
from server.accounts.rules import (
    MAX_API_KEYS,
    MAX_EMAIL_CHARS,
    REFRESH_OVERLAP_S,
    REGISTRATIONS_A_MINUTE,
    digest,
    email_key,
    new_api_key,
    outside_key,
    shown_prefix,
)
from server.accounts.throttle import Throttle
from server.kit.clock import after, new_id, now
from server.kit.db import after_commit, commit, db, rollback
from server.kit.errors import Conflict, Forbidden, NotFound, Refusal, Unauthenticated
from server.kit.redis import allow
from server.realtime import control
from server.settings import Settings

__all__ = [
    "IncorrectPassword",
    "KeyNotFound",
    "LoginOver",
    "Replayed",
    "TooManyKeys",
    "UserExists",
    "UserNotFound",
    "account_of",
    "change_email",
    "change_password",
    "create_api_key",
    "delete_api_key",
    "delete_user",
    "note_key_use",
    "refresh",
    "register",
    "sign_in",
    "sign_out",
    "sign_up",
    "sweep_used",
    "use_once",
    "use_ticket",
]

# Any two processes that register the first user agree on it through this number, a lock's name.
FIRST_USER_LOCK = 0x7061726C
# What can no longer be used is kept for so long, so that no clock that is wrong brings it back.
KEPT_S = 86_400.0
SWEPT_AT_ONCE = 10_000


class UserExists(Refusal):
    """User already exists"""

    code = "user_exists"


class RegistrationClosed(Forbidden):
    """Registration is closed on this server; ask its administrator for an account."""


class UserNotFound(NotFound):
    """User not found"""


class IncorrectPassword(Unauthenticated):
    """Incorrect password."""

    code = "incorrect_password"


class LoginOver(Unauthenticated):
    """The token has been revoked."""

    code = "revoked"


class KeyNotFound(NotFound):
    """API key not found"""


class TooManyKeys(Conflict):
    """The user has as many API keys as one may have; delete one first."""


class Replayed(Conflict):
    """The string has been used already."""

    code = "replayed"


# -- accounts ----------------------------------------------------------------------------------------------------------


def sign_up(email: str, password: str, *, address: str | None, settings: Settings) -> User:
    """A new account for whoever asks, as far as the settings let them."""
    if settings.registration == "closed":
        raise RegistrationClosed
    name = f"register:{Throttle.of(settings, address).network}"
    allow(name, times=REGISTRATIONS_A_MINUTE, window_s=60, message="Too many registrations; try again later.")
    return register(email, password, first_is_admin=settings.is_loopback)


def register(email: str, password: str, *, is_admin: bool = False, first_is_admin: bool = False) -> User:
    """A new account. first_is_admin: the first of the server becomes its administrator. Raises UserExists."""
    if user_by_email(email) is not None:
        raise UserExists
    rollback()
    password_hash = passwords.hashed(password)
    admin = is_admin or (first_is_admin and _nobody_is_here())
    user = User(email=email.strip(), email_key=email_key(email), password_hash=password_hash, is_admin=admin)
    db.session.add(user)
    _flush_unique_email()
    commit()
    return user


def _nobody_is_here() -> bool:
    """Whether there is no user yet; if so, nobody else is told the same until this transaction is over."""
    if first_user() is not None:
        return False
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(FIRST_USER_LOCK)))
    return first_user() is None


def account_of(identity: str) -> User:
    """The account of somebody whom an operator's own handlers know by this name; made when they first come. Nobody can sign in to it."""
    known = outsider(identity)
    if known is not None:
        return known
    shown = identity[:MAX_EMAIL_CHARS]
    new = insert(User).values(id=new_id(), email=shown, email_key=outside_key(identity), password_hash=passwords.NOBODYS)
    db.session.execute(new.on_conflict_do_nothing(index_elements=[User.email_key]))
    commit()
    made = outsider(identity)
    if made is None:
        raise UserNotFound
    return made


def change_email(user: User, email: str) -> None:
    """Give an account another address. Raises UserExists when it is somebody else's."""
    user.email, user.email_key = email.strip(), email_key(email)
    _flush_unique_email()
    commit()


def _flush_unique_email() -> None:
    try:
        db.session.flush()
    except IntegrityError:
        rollback()
        raise UserExists from None


def change_password(user: User, old: str, new: str, *, keep: uuid.UUID | None, guard: Throttle) -> None:
    """Give an account another password; every sign-in but `keep` ends at once. Raises IncorrectPassword."""
    user_id, proven = user.id, _proven(user, old, guard)
    password_hash = passwords.hashed(new)
    changed = sa.update(User).where(User.id == user_id, User.password_hash == proven).values(password_hash=password_hash)
    if not db.session.execute(changed).rowcount:  # type: ignore[attr-defined]
        raise IncorrectPassword
    guard.succeeded(user_id)
    others = sa.select(Login).where(Login.user_id == user_id, Login.ended_at.is_(None), Login.expires_at > now())
    for login in db.session.scalars(others):
        if login.id != keep:
            _end(login)
    commit()


def delete_user(user: User, password: str, *, guard: Throttle) -> None:
    """Delete an account and everything that is its own. Raises IncorrectPassword."""
    user_id, proven = user.id, _proven(user, password, guard)
    unchanged = sa.select(User.id).where(User.id == user_id, User.password_hash == proven).with_for_update()
    if db.session.scalar(unchanged) is None:
        raise IncorrectPassword
    take_leave("user", user_id)
    db.session.execute(sa.delete(User).where(User.id == user_id))
    guard.succeeded(user_id)
    after_commit(lambda: control.tell("accounts.user_deleted", user_id=str(user_id)))
    commit()


def _proven(user: User, password: str, guard: Throttle) -> str:
    """The account's password hash, once the password was found to be right; commits in between."""
    user_id, password_hash = user.id, user.password_hash
    guard.begin(user_id)
    if not passwords.matches(password_hash, password):
        raise IncorrectPassword
    return password_hash


# -- sign-ins ----------------------------------------------------------------------------------------------------------


def sign_in(email: str, password: str, *, guard: Throttle, life_s: int) -> Login:
    """A new sign-in that lasts `life_s`. Raises UserNotFound, IncorrectPassword, TooManyTries."""
    user = user_by_email(email)
    if user is None:
        guard.begin(None)
        raise UserNotFound
    user_id, proven = user.id, _proven(user, password, guard)
    # Waits for a change of the password in progress, which would not have seen this sign-in.
    unchanged = sa.select(User.id).where(User.id == user_id, User.password_hash == proven).with_for_update(read=True)
    if db.session.scalar(unchanged) is None:
        raise IncorrectPassword
    guard.succeeded(user_id)
    login = Login(user_id=user_id, expires_at=after(life_s))
    db.session.add(login)
    commit()
    return login


def refresh(login_id: uuid.UUID, number: int) -> Login:
    """The sign-in, moved on to its next refresh token by the one with this number.

    The one before is good for REFRESH_OVERLAP_S more and gets the same again, for an answer that was lost.
    An older one is a copy in other hands: the sign-in ends. Raises LoginOver.
    """
    login = db.session.get(Login, login_id, with_for_update=True, populate_existing=True)
    if login is None or login.is_over():
        raise LoginOver
    if number == login.refreshes:
        login.refreshes += 1
        login.refreshed_at = now()
    elif number != login.refreshes - 1 or not _is_recent(login.refreshed_at):
        _end(login)
        commit()
        raise LoginOver("The refresh token was used already; the sign-in has ended.")
    commit()
    return login


def _is_recent(moment: dt.datetime | None) -> bool:
    return moment is not None and (now() - moment).total_seconds() <= REFRESH_OVERLAP_S


def sign_out(login_id: uuid.UUID) -> None:
    """End a sign-in: its tokens and open sockets end with it. Raises LoginOver when it was over."""
    found = login_and_user(login_id)
    if found is None or found[0].is_over():
        raise LoginOver
    _end(found[0])
    commit()


def _end(login: Login) -> None:
    login.ended_at = now()
    facts = {"login_id": str(login.id), "user_id": str(login.user_id)}
    after_commit(lambda: control.tell("accounts.login_ended", **facts))


# -- API keys ----------------------------------------------------------------------------------------------------------


def create_api_key(user: User, name: str) -> tuple[ApiKey, str]:
    """A new API key and its text, which is not kept. Raises TooManyKeys."""
    if db.session.scalar(sa.select(User.id).where(User.id == user.id).with_for_update(key_share=True)) is None:
        raise UserNotFound
    if (db.session.scalar(sa.select(sa.func.count()).where(ApiKey.user_id == user.id)) or 0) >= MAX_API_KEYS:
        raise TooManyKeys
    text = new_api_key()
    key = ApiKey(user_id=user.id, name=name, prefix=shown_prefix(text), digest=digest(text))
    db.session.add(key)
    commit()
    return key, text


def delete_api_key(user: User, key_id: uuid.UUID | None) -> None:
    """End one of the user's API keys, with the sockets it opened. Raises KeyNotFound."""
    deleted = sa.delete(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user.id)
    if not db.session.execute(deleted).rowcount:  # type: ignore[attr-defined]
        raise KeyNotFound
    after_commit(lambda: control.tell("accounts.key_ended", key_id=str(key_id)))
    commit()


def note_key_use(key: ApiKey) -> None:
    """Remember that a key was used now; at most once a minute, so that reading does not become writing."""
    if key.last_used_at is not None and (now() - key.last_used_at).total_seconds() < 60:
        return
    key.last_used_at = now()
    commit()


# -- one-use strings ---------------------------------------------------------------------------------------------------


def use_once(string_id: str, expires_at: dt.datetime) -> None:
    """Use up a one-use string, in the caller's transaction: who rolls back has not used it.

    Waits for another user of the same string in progress. Raises Replayed when it was used before.
    """
    row: dict[str, Any] = {"id": string_id, "expires_at": expires_at}
    used = insert(UsedString).values(row).on_conflict_do_nothing(index_elements=[UsedString.id])
    if db.session.scalar(used.returning(UsedString.id)) is None:
        raise Replayed


def use_ticket(string_id: str, expires_at: dt.datetime) -> None:
    """Use up a ticket, and commit. Raises Replayed."""
    use_once(string_id, expires_at)
    commit()


def sweep_used(moment: dt.datetime) -> int:
    """Forget what could not be used any more for a day: used strings, sign-ins, tries. Returns how many strings; bounded."""
    long_ago = moment - dt.timedelta(seconds=KEPT_S)
    old = sa.select(UsedString.id).where(UsedString.expires_at < long_ago).limit(SWEPT_AT_ONCE)
    swept: int = db.session.execute(sa.delete(UsedString).where(UsedString.id.in_(old))).rowcount  # type: ignore[attr-defined]
    over = sa.select(Login.id).where(Login.expires_at < long_ago).limit(SWEPT_AT_ONCE)
    db.session.execute(sa.delete(Login).where(Login.id.in_(over)))
    throttle.sweep(moment)
    commit()
    return swept
