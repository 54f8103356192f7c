"""What can be done with chats. Each verb commits; what is told is told after that."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.accounts.actions import Replayed, use_once
from server.accounts.models import User
from server.agents import catalogue
from server.chats import sent, tickets
from server.chats.access import still_allowed
from server.chats.models import Chat, Message, message_by_client_id, others_words, stream_of, thread_of
from server.chats.rules import Said, addressed, heard, name_of, spoken
from server.chats.tickets import Revoked, StringInvalid, Ticket
from server.kit import redis
from server.kit.clock import now
from server.kit.db import after_commit, commit, db, rollback
from server.kit.errors import Conflict, Invalid, NotFound, Unauthenticated, Unavailable
from server.kit.http import parse_id
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
    "post",
    "record_reply",
]

REPLY = "chats.record_reply"
MISSED_LIMIT = 20  # messages of others that an agent is given to read


class NotTheOwner(Unauthenticated):
    """User is not the owner of the workspace"""

    code = "not_the_owner"


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
    try:
        db.session.flush()
        workspace.last_chat_id = chat.id
        commit()
    except IntegrityError:  # the workspace was deleted meanwhile
        rollback()
        raise WorkspaceNotFound from None
    return chat, workspace


def delete(chat: Chat) -> None:
    """Delete a chat with its messages, its log, its runs and what agents remember of it; its sockets are closed."""
    _forget(sa.select(Chat.id).where(Chat.id == chat.id))
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
    _forget(sa.select(Chat.id).where(Chat.workspace_id == workspace_id))


def _forget(chats: sa.Select[uuid.UUID]) -> None:
    """Let go of what chats have outside their rows. They are locked first: a message on its way in is stored before, or refused after."""
    for chat_id in db.session.scalars(chats.order_by(Chat.id).with_for_update()).all():
        runs.forget_stream(stream_of(chat_id))
        after_commit(partial(control.tell, "chats.deleted", chat_id=str(chat_id)))


def _held(chat_id: uuid.UUID) -> Chat | None:
    """The chat, not to be deleted before the transaction ends; None once it is. Taken before its runs and its log are locked."""
    return db.session.get(Chat, chat_id, with_for_update={"read": True, "key_share": True}, populate_existing=True)


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
    text = sent.content(content, max_chars=settings.max_message_chars)
    client_id = sent.client_id(client_message_id)
    if agent_id is not None and not isinstance(agent_id, str):
        raise Invalid("agent_id: a text is required")
    if (earlier := _stored_before(chat_id, client_id)) is not None:
        return earlier
    ticket = tickets.read(tickets.MESSAGE, message_string, life_s=settings.message_string_s)
    if (ticket.chat_id, ticket.user_id) != (chat_id, user_id):
        raise StringInvalid
    # Asked here too, before the transaction that `runs.start` asks in: while the queue is away nobody holds a connection to wait for it.
    if not redis.is_up():
        raise Unavailable("The queue does not answer; nothing was stored. Try again.")
    redis.allow(f"messages:{user_id}", times=settings.message_rate, window_s=60, message="You send too many messages; wait a little.")
    still_allowed(ticket)
    try:
        return _post(ticket, text, agent_id, client_id, settings)
    except (IntegrityError, Replayed) as error:
        rollback()
        # The same message may have been stored by a request that was faster.
        if (earlier := _stored_before(chat_id, client_id)) is not None:
            return earlier
        raise error if isinstance(error, Replayed) else Revoked from None


def _post(ticket: Ticket, text: str, agent_id: str | None, client_id: str | None, settings: Settings) -> Posted:
    use_once(ticket.id, tickets.use_until(settings.message_string_s))
    chat = _held(ticket.chat_id)
    if chat is None:
        raise Revoked
    workspace = db.session.get_one(Workspace, chat.workspace_id)
    chosen, read = _meant(workspace, text, agent_id)
    stream, thread_id = stream_of(chat.id), thread_of(chat.id, chosen)
    runs.cancel_waiting(stream, thread_id)
    missed = [Said(each.role, each.agent_id, each.content) for each in others_words(chat.id, chosen, limit=MISSED_LIMIT)]
    run = runs.start(
        owner_id=ticket.user_id,
        agent_id=chosen,
        thread_id=thread_id,
        stream=stream,
        input={"messages": heard(missed, read)},
        context={"workspace_id": str(workspace.id), "chat_id": str(chat.id), "user_id": str(ticket.user_id)},
        then=REPLY,
        timeout_s=settings.run_timeout_s,
        max_queued=settings.max_queued_runs,
    )
    chat.name = chat.name or name_of(text)
    message = Message(
        chat_id=chat.id, role="user", user_id=ticket.user_id, agent_id=chosen, content=text, run_id=run.id, client_message_id=client_id
    )
    posted = _said(chat.id, message, run.id)
    commit()
    return posted


def _said(chat_id: uuid.UUID, message: Message, run_id: uuid.UUID) -> Posted:
    """Store a message, with its event, in the caller's transaction."""
    message.id = message.id or uuid.uuid4()
    message.created_at = now()
    message.seq = log.append(stream_of(chat_id), "message", message.shown()).seq or 0
    db.session.add(message)
    db.session.flush()
    return Posted(message.id, run_id, message.seq)


def _meant(workspace: Workspace, text: str, agent_id: str | None) -> tuple[str, str]:
    """The agent that is to answer, and the text as it is to read it."""
    team, coordinator = team_of(workspace)
    if agent_id is not None and agent_id not in team:
        raise AgentMissing("Agent does not exist")
    found = addressed(text, team, coordinator)
    chosen = agent_id or found.agent_id
    agent = catalogue.get(chosen) if chosen is not None else None
    if agent is None or chosen is None:
        raise AgentMissing
    if not agent.ready:
        raise AgentNotReady(f"{agent.name} cannot answer yet. {agent.needs_text or ''}".strip())
    return chosen, found.content if found.agent_id == chosen else text


def _stored_before(chat_id: uuid.UUID, client_id: str | None) -> Posted | None:
    """What became of the message that the client has sent under this id before."""
    message = message_by_client_id(chat_id, client_id) if client_id is not None else None
    return Posted(message.id, message.run_id, message.seq) if message is not None and message.run_id is not None else None


# -- runs of a chat ----------------------------------------------------------------------------------------------------


def answer(chat_id: uuid.UUID, run_id: object, value: Any, *, interrupt_id: object = None) -> Run:
    """Answer what an agent asked in this chat; the first answer wins. Raises Invalid, RunNotFound, NothingAsked."""
    if interrupt_id is not None and not isinstance(interrupt_id, str):
        raise Invalid("interrupt_id: a text is required")
    run = runs.answer(_run_here(chat_id, run_id), sent.value(value), interrupt_id=interrupt_id)
    commit()
    return run


def cancel(chat_id: uuid.UUID, run_id: object) -> Run:
    """Stop an agent's run in this chat; an ended one stays as it is. Raises RunNotFound."""
    run = runs.cancel(_run_here(chat_id, run_id))
    commit()
    return run


def _run_here(chat_id: uuid.UUID, run_id: object) -> uuid.UUID:
    found = db.session.scalar(sa.select(Run.id).where(Run.id == parse_id(run_id), Run.stream == stream_of(chat_id)))
    if found is None:
        raise runs.RunNotFound
    return found


def record_reply(run_id: uuid.UUID) -> None:
    """Store the answer of an ended run as a message of its chat, once, however often this is called."""
    chat_id = db.session.scalar(sa.select(Run.context["chat_id"].as_string()).where(Run.id == run_id))
    chat = _held(uuid.UUID(chat_id)) if chat_id is not None else None
    run = db.session.get(Run, run_id, with_for_update=True, populate_existing=True)
    if run is None or run.then_due_at is None:
        rollback()
        return
    runs.then_done(run_id)
    reply = _reply_of(run)
    if chat is not None and reply is not None:
        reply.chat_id = chat.id
        _said(chat.id, reply, run.id)
    commit()


def _reply_of(run: Run) -> Message | None:
    """What a run has said, as a message: its answer, or as much of it as there is when somebody stopped it."""
    about = {"role": "assistant", "agent_id": run.agent_id, "run_id": run.id}
    if run.status == "success" and run.output is not None and run.output["content"]:
        return Message(id=uuid.UUID(run.output["message_id"]), content=run.output["content"], **about)
    if run.status == "cancelled" and (said := spoken(runs.history(run))) is not None:
        return Message(id=uuid.UUID(said[0]), content=said[1], is_partial=True, **about)
    return None
