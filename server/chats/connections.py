"""How a socket comes to be connected to a chat, and comes back when it was lost. Each verb commits."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.accounts.actions import Replayed, use_once
from server.chats import tickets
from server.chats.access import still_allowed
from server.chats.models import Connection
from server.chats.tickets import Revoked, StringInvalid, Ticket
from server.kit.clock import after, now
from server.kit.db import commit, db, rollback
from server.kit.signing import Signed
from server.settings import Settings

__all__ = ["forget_lapsed", "open_by_string", "open_by_token", "token_of"]

FORGOTTEN_AT_ONCE = 10_000
OVERLAP_S = 30  # how long the last resume token still works, for an answer that was lost on the way


def open_by_string(text: object, settings: Settings, *, chat_id: object = None) -> Connection:
    """A new connection by a connection string, which is used up by it.

    chat_id: refuse a string for another chat (older clients name it beside).
    Raises StringInvalid, StringExpired, Replayed, Revoked.
    """
    ticket = tickets.read(tickets.CONNECTION, text, life_s=settings.connection_string_s)
    if chat_id is not None and chat_id != str(ticket.chat_id):
        raise StringInvalid
    still_allowed(ticket)
    try:
        use_once(ticket.id, tickets.use_until(settings.connection_string_s))
        connection = Connection(
            chat_id=ticket.chat_id,
            user_id=ticket.user_id,
            credential=ticket.credential,
            expires_at=after(settings.resume_token_s),
        )
        db.session.add(connection)
        commit()
    except IntegrityError:  # the chat or the user was deleted meanwhile
        rollback()
        raise Revoked from None
    return connection


def open_by_token(text: object, settings: Settings, *, chat_id: object) -> Connection:
    """A lost connection again, by its resume token; the token after this one is in force from now on.

    The token before is taken as well for a short while: its holder may not have got the answer.
    Raises StringInvalid, StringExpired, Replayed (replaced already), Revoked.
    """
    ticket = tickets.read(tickets.RESUME, text, life_s=settings.resume_token_s)
    if chat_id != str(ticket.chat_id):
        raise StringInvalid
    still_allowed(ticket)
    connection = db.session.get(Connection, uuid.UUID(ticket.id), with_for_update=True, populate_existing=True)
    if connection is None:
        raise Revoked
    is_last = ticket.number == connection.number
    is_overlap = ticket.number == connection.number - 1 and connection.rotated_at > after(-OVERLAP_S)
    if not (is_last or is_overlap):
        rollback()
        raise Replayed
    if is_last:
        connection.number += 1
        connection.rotated_at = now()
    connection.expires_at = after(settings.resume_token_s)
    commit()
    return connection


def forget_lapsed() -> int:
    """Forget connections that nobody can come back by any more; how many. Bounded."""
    lapsed = sa.select(Connection.id).where(Connection.expires_at < now()).limit(FORGOTTEN_AT_ONCE)
    forgotten: int = db.session.execute(sa.delete(Connection).where(Connection.id.in_(lapsed))).rowcount  # type: ignore[attr-defined]
    commit()
    return forgotten


def token_of(connection: Connection, settings: Settings) -> Signed:
    """The resume token that is in force for a connection now."""
    ticket = Ticket(str(connection.id), connection.chat_id, connection.user_id, connection.credential, connection.number)
    return tickets.resume_token(ticket, settings)
