"""What can be done with chats. Each verb commits; what is told is told after that."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.accounts.actions import Replayed, use_once
from server.accounts.models import User
from server.accounts.who import still_valid
from server.agents import catalogue
from server.chats import tickets
from server.chats.access import NotTheOwner as NotTheChatsOwner
from server.chats.access import own_chat
from server.chats.models import Chat, Connection, Message, message_by_client_id, others_words, stream_of, thread_of
from server.chats.rules import Said, addressed, heard, name_of
from server.chats.tickets import Ticket
from server.kit import redis
from server.kit.clock import after, now
from server.kit.db import after_commit, commit, db, rollback
from server.kit.errors import Conflict, Invalid, NotFound, TooLarge, Unauthenticated
from server.kit.signing import Signed
from server.realtime import control, log
from server.runs import actions as runs
from server.runs.models import Run
from server.settings import Settings
from server.workspaces.access import WorkspaceNotFound, standing
from server.workspaces.models import Workspace, team_of
from server.workspaces.rules import may

__all__ = [
    "AgentMissing",
    "AgentNotReady",
    "Posted",
    "Revoked",
    "answer",
    "cancel",
    "create",
    "delete",
    "forget_chats_of",
    "open_by_string",
    "open_by_token",
    "post",
    "record_reply",
    "rotate",
]

REPLY = "chats.record_reply"
MISSED_LIMIT = 20  # messages of others that an agent is given to read
OVERLAP_S = 30  # how long the last resume token still works, for an answer that was lost on the way
CLIENT_ID_CHARS = 100


class NotTheOwner(Unauthenticated):
    """User is not the owner of the workspace"""

    code = "not_the_owner"


class Revoked(Unauthenticated):
    """What this was signed for has ended."""

    code = "revoked"


class AgentMissing(NotFound):
    """The workspace has no agent that could answer; add one."""

    code = "no_agent"


class AgentNotReady(Conflict):
    """The agent lacks something it needs."""

    code = "agent_not_ready"


@dataclass(frozen=True)
class Posted:
    """What became of a message."""

    message_id: uuid.UUID
    run_id: uuid.UUID
    seq: int


# -- chats -------------------------------------------------------------------------------------------------------------


def create(workspace_id: object, user: User) -> tuple[Chat, Workspace]:
    """A new chat of the user's in a workspace. Raises WorkspaceNotFound, NotTheOwner (also for who may only read there)."""
    workspace, role = standing(workspace_id, user)
    if not may(role, "editor"):
        raise NotTheOwner
    chat = Chat(workspace_id=workspace.id, created_by=user.id)
    db.session.add(chat)
    db.session.flush()
    workspace.last_chat_id = chat.id
    try:
        commit()
    except IntegrityError:
        raise WorkspaceNotFound from None
    return chat, workspace


def delete(chat: Chat) -> None:
    """Delete a chat with its messages, its log, its runs and what agents remember of it; its sockets are closed."""
    _forget(chat.id)
    last = sa.select(Chat.id).where(Chat.workspace_id == chat.workspace_id, Chat.id != chat.id).order_by(Chat.id.desc()).limit(1)
    db.session.execute(
        sa.update(Workspace)
        .where(Workspace.id == chat.workspace_id, Workspace.last_chat_id == chat.id)
        .values(last_chat_id=last.scalar_subquery())
    )
    db.session.execute(sa.delete(Chat).where(Chat.id == chat.id))
    commit()


def forget_chats_of(workspace_id: uuid.UUID) -> None:
    """Let go, in the caller's transaction, of all that the chats of a workspace have outside their rows."""
    for chat_id in db.session.scalars(sa.select(Chat.id).where(Chat.workspace_id == workspace_id)).all():
        _forget(chat_id)


def _forget(chat_id: uuid.UUID) -> None:
    runs.forget_stream(stream_of(chat_id))
    after_commit(lambda: control.tell("chats.deleted", chat_id=str(chat_id)))


# -- connections -------------------------------------------------------------------------------------------------------


def open_by_string(text: object, settings: Settings, *, chat_id: str | None = None) -> Connection:
    """A new connection by a connection string, which is used up by it.

    chat_id: refuse a string for another chat (older clients name it beside).
    Raises StringInvalid, StringExpired, Replayed, Revoked.
    """
    ticket = tickets.read(tickets.CONNECTION, text, life_s=settings.connection_string_s)
    if chat_id is not None and chat_id != str(ticket.chat_id):
        raise tickets.StringInvalid
    _still_allowed(ticket)
    use_once(ticket.id, tickets.use_until(settings.connection_string_s))
    connection = Connection(
        chat_id=ticket.chat_id,
        user_id=ticket.user_id,
        credential=ticket.credential,
        expires_at=after(settings.resume_token_s),
    )
    db.session.add(connection)
    commit()
    return connection


def open_by_token(text: object, settings: Settings, *, chat_id: str) -> Connection:
    """A lost connection again, by its resume token; the token after this one is in force from now on.

    The token before is taken as well for a short while: its holder may not have got the answer.
    Raises StringInvalid, StringExpired, Replayed (replaced already), Revoked.
    """
    ticket = tickets.read(tickets.RESUME, text, life_s=settings.resume_token_s)
    if chat_id != str(ticket.chat_id):
        raise tickets.StringInvalid
    _still_allowed(ticket)
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


def rotate(connection: Connection, settings: Settings) -> Signed:
    """The resume token that is in force for a connection now."""
    ticket = Ticket(str(connection.id), connection.chat_id, connection.user_id, connection.credential, connection.number)
    return tickets.resume_token(ticket, settings)


def _still_allowed(ticket: Ticket) -> None:
    if still_valid([ticket.credential]):
        raise Revoked
    try:
        own_chat(str(ticket.chat_id), ticket.user_id)
    except (NotFound, NotTheChatsOwner):
        raise Revoked from None


# -- messages ----------------------------------------------------------------------------------------------------------


def post(
    chat_id: uuid.UUID,
    user_id: uuid.UUID,
    *,
    message_string: object,
    content: object,
    agent_id: object = None,
    client_message_id: object = None,
    settings: Settings,
) -> Posted:
    """Say something in a chat: the string is used up, the message stored and the agent's run accepted, all or nothing.

    client_message_id: the client's own id; a message sent again under it is the same message, and gets the same answer.
    Raises StringInvalid, StringExpired, Replayed, Revoked, Invalid, TooLarge, TooMany, AgentMissing, AgentNotReady, Unavailable.
    """
    text = _content(content, settings)
    client_id = _client_id(client_message_id)
    if client_id is not None and (earlier := message_by_client_id(chat_id, client_id)) is not None:
        return _as_posted(earlier)
    ticket = tickets.read(tickets.MESSAGE, message_string, life_s=settings.message_string_s)
    if (ticket.chat_id, ticket.user_id) != (chat_id, user_id):
        raise tickets.StringInvalid
    _still_allowed(ticket)
    redis.allow(f"messages:{user_id}", times=settings.message_rate, window_s=60, message="You send too many messages; wait a little.")
    try:
        use_once(ticket.id, tickets.use_until(settings.message_string_s))
        posted = _post(own_chat(str(chat_id), user_id), user_id, text, agent_id, client_id, settings)
        commit()
    except IntegrityError:
        rollback()
        return _posted_by_another(chat_id, client_id)
    return posted


def _post(chat: Chat, user_id: uuid.UUID, text: str, agent_id: object, client_id: str | None, settings: Settings) -> Posted:
    workspace = db.session.get_one(Workspace, chat.workspace_id)
    chosen, read = _meant(workspace, text, agent_id)
    stream, thread_id = stream_of(chat.id), thread_of(chat.id, chosen)
    runs.cancel_waiting(stream, thread_id)
    missed = [Said(each.role, each.agent_id, each.content) for each in others_words(chat.id, chosen, limit=MISSED_LIMIT)]
    run = runs.start(
        owner_id=user_id,
        agent_id=chosen,
        thread_id=thread_id,
        stream=stream,
        input={"messages": heard(missed, read)},
        context={"workspace_id": str(workspace.id), "chat_id": str(chat.id), "user_id": str(user_id)},
        then=REPLY,
        timeout_s=settings.run_timeout_s,
        max_queued=settings.max_queued_runs,
    )
    chat.name = chat.name or name_of(text)
    message = Message(
        chat_id=chat.id, role="user", user_id=user_id, agent_id=chosen, content=text, run_id=run.id, client_message_id=client_id
    )
    return _said(chat.id, message, run.id)


def _said(chat_id: uuid.UUID, message: Message, run_id: uuid.UUID) -> Posted:
    """Store a message, with its event, in the caller's transaction."""
    message.id = message.id or uuid.uuid4()
    message.created_at = now()
    message.seq = log.append(stream_of(chat_id), "message", message.shown()).seq or 0
    db.session.add(message)
    db.session.flush()
    return Posted(message.id, run_id, message.seq)


def _meant(workspace: Workspace, text: str, agent_id: object) -> tuple[str, str]:
    """The agent that is to answer, and the text as it is to read it."""
    team, coordinator = team_of(workspace)
    if agent_id is not None and agent_id not in team:
        raise AgentMissing("Agent does not exist")
    found = addressed(text, team, coordinator)
    chosen = str(agent_id) if agent_id is not None else found.agent_id
    agent = catalogue.get(chosen) if chosen is not None else None
    if agent is None or chosen is None:
        raise AgentMissing
    if not agent.ready:
        raise AgentNotReady(f"{agent.name} cannot answer yet. {agent.needs_text or ''}".strip())
    return chosen, found.content if found.agent_id == chosen else text


def _posted_by_another(chat_id: uuid.UUID, client_id: str | None) -> Posted:
    """The same message was stored by a request that was faster."""
    earlier = message_by_client_id(chat_id, client_id) if client_id is not None else None
    if earlier is None:
        raise Revoked
    return _as_posted(earlier)


def _as_posted(message: Message) -> Posted:
    assert message.run_id is not None
    return Posted(message.id, message.run_id, message.seq)


def _content(content: object, settings: Settings) -> str:
    if not isinstance(content, str) or not content.strip():
        raise Invalid("content: a text is required", fields={"content": ["A text is required."]})
    if len(content) > settings.max_message_chars:
        raise TooLarge(f"A message has at most {settings.max_message_chars} characters.")
    if "\x00" in content:
        raise Invalid("content: holds a NUL character", fields={"content": ["Holds a NUL character."]})
    return content


def _client_id(client_message_id: object) -> str | None:
    if client_message_id is None:
        return None
    if not isinstance(client_message_id, str) or not 0 < len(client_message_id) <= CLIENT_ID_CHARS or "\x00" in client_message_id:
        raise Invalid("client_message_id: a text of at most 100 characters is required")
    return client_message_id


# -- runs of a chat ----------------------------------------------------------------------------------------------------


def answer(chat_id: uuid.UUID, run_id: object, value: Any, *, interrupt_id: str | None = None) -> Run:
    """Answer what an agent asked in this chat; the first answer wins. Raises RunNotFound, NothingAsked."""
    run = runs.answer(_run_here(chat_id, run_id), value, interrupt_id=interrupt_id)
    commit()
    return run


def cancel(chat_id: uuid.UUID, run_id: object) -> Run:
    """Stop an agent's run in this chat; an ended one stays as it is. Raises RunNotFound."""
    run = runs.cancel(_run_here(chat_id, run_id))
    commit()
    return run


def _run_here(chat_id: uuid.UUID, run_id: object) -> uuid.UUID:
    from server.kit.http import parse_id

    found = db.session.scalar(sa.select(Run.id).where(Run.id == parse_id(run_id), Run.stream == stream_of(chat_id)))
    if found is None:
        raise runs.RunNotFound
    return found


def record_reply(run_id: uuid.UUID) -> None:
    """Store the answer of an ended run as a message of its chat, once, however often this is called."""
    run = db.session.get(Run, run_id, with_for_update=True, populate_existing=True)
    if run is None or run.then_due_at is None:
        rollback()
        return
    runs.then_done(run_id)
    chat = db.session.get(Chat, uuid.UUID(run.context["chat_id"]))
    if chat is not None and run.status == "success" and run.output is not None and run.output["content"]:
        reply = Message(
            id=uuid.UUID(run.output["message_id"]),
            chat_id=chat.id,
            role="assistant",
            agent_id=run.agent_id,
            content=run.output["content"],
            run_id=run.id,
        )
        _said(chat.id, reply, run.id)
    commit()
