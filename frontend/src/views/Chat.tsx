import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { announcement } from "../chat/announcement";
import { isInProgress, type ChatState, type Run } from "../chat/state";
import { timeline, type Item } from "../chat/timeline";
import { titleOf } from "../chat/titles";
import { announce, confirmDone } from "../components/Announcer";
import { Composer } from "../components/Composer";
import { ConfirmButton } from "../components/Dialog";
import { Loading, PageHead } from "../components/Frame";
import { Icon } from "../components/Icon";
import { AnswerTurn, FailureNote, OutgoingTurn, QuestionTurn } from "../components/Turn";
import type { Json } from "../contract";
import { identity } from "../identity";
import { useObservable, useObservableByFrame } from "../observable";
import { useAction } from "../resource";
import { useRoom, type Room } from "../room";
import { go } from "../router";
import { ChatConnection, type Link } from "../socket";
import { takeFirst } from "./WorkspaceHome";

export function ChatView({ chatId }: { chatId: string }) {
  const room = useRoom();
  const connection = useConnection(chatId);
  const state = useObservableByFrame(connection.state);
  const link = useObservable(connection.link);
  const failure = useObservable(connection.failure);
  useAnnouncements(connection, room);
  useName(chatId, room, state.messages.length > 0);

  if (failure) return <Unavailable message={failure.detail} />;
  return (
    <div class="chat">
      <ChatHead chatId={chatId} room={room} link={link} />
      <Conversation connection={connection} state={state} link={link} room={room} />
      <Foot connection={connection} state={state} room={room} />
    </div>
  );
}

function useConnection(chatId: string): ChatConnection {
  const connection = useMemo(() => new ChatConnection(chatId), [chatId]);
  useEffect(() => {
    void connection.open().then(() => {
      const first = takeFirst(chatId);
      if (first) connection.send(first.content, first.agentId);
    });
    return () => connection.close();
  }, [connection]);
  return connection;
}

/** A chat gets its name from its first message. */
function useName(chatId: string, room: Room, isBegun: boolean): void {
  const isNameless = room.chats.value?.some((chat) => chat.chat_id === chatId && !chat.name) ?? false;
  useEffect(() => {
    if (isNameless && isBegun) void room.chats.reload();
  }, [isNameless, isBegun]);
}

function useAnnouncements(connection: ChatConnection, room: Room): void {
  const names = useRef(room);
  names.current = room;
  useEffect(() => {
    let before = connection.state.value;
    return connection.state.subscribe((after) => {
      const news = announcement(before, after, (agent_id) => agentName(names.current, agent_id));
      before = after;
      if (news) announce(news);
    });
  }, [connection]);
}

function agentName(room: Room, agent_id: string | null | undefined): string {
  if (!agent_id) return room.coordinator?.name ?? "Agent";
  return room.catalogue.value?.find((agent) => agent.agent_id === agent_id)?.name ?? agent_id;
}

function Unavailable({ message }: { message: string }) {
  return (
    <div class="page">
      <PageHead title="This chat cannot be shown" note={message} />
    </div>
  );
}

// Head

const LINKS: Record<Link, string> = { connecting: "Connecting", online: "Connected", offline: "Reconnecting", ended: "Ended" };

function ChatHead({ chatId, room, link }: { chatId: string; room: Room; link: Link }) {
  const who = useObservable(identity);
  const chat = room.chats.value?.find((each) => each.chat_id === chatId);
  const removal = useAction(async () => {
    await api.deleteChat(chatId);
    go("workspace", { workspaceId: room.workspaceId });
    confirmDone("Chat deleted.");
    void room.chats.reload();
  });
  return (
    <PageHead title={titleOf(chat)}>
      <span class={`link-state ${link}`} role="status">
        {LINKS[link]}
      </span>
      {chat?.created_by === who.user?.user_id && (
        <ConfirmButton
          icon
          label="Delete chat"
          title="Delete this chat?"
          text="Its messages are deleted for everybody. This cannot be taken back."
          action="Delete chat"
          work={removal.run}
          error={removal.error}
          isBusy={removal.isBusy}
        />
      )}
    </PageHead>
  );
}

// Conversation

function Conversation({ connection, state, link, room }: { connection: ChatConnection; state: ChatState; link: Link; room: Room }) {
  const items = useMemo(() => timeline(state), [state]);
  const scroll = useScroll(items[0]?.key, state.outbox.length);
  const older = useAction(() => {
    scroll.hold();
    return connection.loadOlder();
  });
  return (
    <div class="conversation">
      <div class="scroll" ref={scroll.box} onScroll={scroll.onScroll} tabIndex={0} role="region" aria-label="Conversation">
        <div class="column">
          {!state.isLoaded && <Loading what="the conversation" />}
          {state.older !== null && (
            <button type="button" class="plain small older" disabled={older.isBusy} onClick={() => void older.run()}>
              Show earlier messages
            </button>
          )}
          {items.map((item) => (
            <ItemView key={item.key} item={item} connection={connection} state={state} link={link} room={room} />
          ))}
          {state.isLoaded && items.length === 0 && <p class="empty-chat">Write the first message.</p>}
          <TypingNote state={state} />
          {state.closed && (
            <p class="closed" role="status">
              {state.closed.message || "This chat has ended."}
            </p>
          )}
        </div>
      </div>
      {!scroll.isAtEnd && (
        <button type="button" class="plain small to-end" onClick={scroll.toEnd}>
          <Icon name="down" />
          Latest
        </button>
      )}
    </div>
  );
}

interface ItemProps {
  item: Item;
  connection: ChatConnection;
  state: ChatState;
  link: Link;
  room: Room;
}

function ItemView({ item, connection, state, link, room }: ItemProps) {
  const who = useObservable(identity);
  switch (item.kind) {
    case "question": {
      const isMine = !item.message.user_id || item.message.user_id === who.user?.user_id;
      return <QuestionTurn message={item.message} author={isMine ? null : "Another member"} />;
    }
    case "outgoing": {
      const { client_message_id } = item.outgoing;
      const again = () => connection.sendAgain(client_message_id);
      return (
        <OutgoingTurn
          outgoing={item.outgoing}
          isOnline={link === "online"}
          onAgain={again}
          onDiscard={() => connection.discard(client_message_id)}
        />
      );
    }
    case "notice":
      return <FailureNote failure={item.notice} />;
    case "answer":
      return <Answer item={item} connection={connection} state={state} room={room} />;
  }
}

function Answer({
  item,
  connection,
  state,
  room,
}: {
  item: Extract<Item, { kind: "answer" }>;
  connection: ChatConnection;
  state: ChatState;
  room: Room;
}) {
  const { run, message } = item;
  const question = run && state.messages.find((each) => each.role === "user" && each.run_id === run.run_id);
  const answer = (value: Json) => {
    if (run) void connection.answer(run.run_id, value);
    document.querySelector<HTMLElement>(".composer textarea")?.focus();
  };
  const retry = question ? () => connection.send(question.content) : undefined;
  return (
    <AnswerTurn run={run} message={message} agent={agentName(room, message?.agent_id ?? run?.agent_id)} onAnswer={answer} onRetry={retry} />
  );
}

function TypingNote({ state }: { state: ChatState }) {
  const isSomebody = Object.keys(state.typing).length > 0;
  return isSomebody ? <p class="typing">Somebody is typing…</p> : null;
}

const NEAR_END_PX = 80;

/**
 * Keeps the end in view while it grows, unless the reader has scrolled away from it; what is added at the top moves nothing.
 *
 * first: key of the topmost item. sent: how many messages are on their way; one more shows the end again.
 */
function useScroll(first: string | undefined, sent: number) {
  const box = useRef<HTMLDivElement>(null);
  const held = useRef<{ turn: Element; top: number } | null>(null);
  const isFollowing = useRef(true);
  const wasSent = useRef(0);
  const [isAtEnd, setAtEnd] = useState(true);
  const follow = (follows: boolean) => {
    isFollowing.current = follows;
    setAtEnd(follows);
  };
  const toEnd = () => {
    if (!box.current) return;
    box.current.scrollTop = box.current.scrollHeight;
    follow(true);
  };
  const onScroll = () => {
    if (!box.current) return;
    const { scrollHeight, scrollTop, clientHeight } = box.current;
    follow(scrollHeight - scrollTop - clientHeight < NEAR_END_PX);
  };
  /** Notes what is read, right before more is loaded above it. */
  const hold = () => {
    const turn = box.current?.querySelector(".turn.question");
    if (turn) held.current = { turn, top: turn.getBoundingClientRect().top };
  };
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (isFollowing.current) toEnd();
    });
    observer.observe(box.current!);
    observer.observe(box.current!.firstElementChild!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (sent > wasSent.current) toEnd();
    wasSent.current = sent;
  }, [sent]);
  useLayoutEffect(() => {
    if (held.current && box.current) box.current.scrollTop += held.current.turn.getBoundingClientRect().top - held.current.top;
    held.current = null;
  }, [first]);
  return { box, isAtEnd, onScroll, toEnd, hold };
}

// Foot

function Foot({ connection, state, room }: { connection: ChatConnection; state: ChatState; room: Room }) {
  const running = Object.values(state.runs).filter((run) => isInProgress(run) && !run.hasAnswer);
  const stop = running.length ? () => stopAll(connection, running) : undefined;
  return (
    <div class="foot">
      <Composer
        agents={room.agents}
        coordinator={room.coordinator}
        draftKey={`parley.draft.${connection.chatId}`}
        isDisabled={state.closed !== null}
        onSend={(content, agentId) => connection.send(content, agentId)}
        onTyping={() => connection.typing()}
        onStop={stop}
        isStopping={running.length > 0 && running.every((run) => run.isStopping)}
      />
    </div>
  );
}

function stopAll(connection: ChatConnection, runs: Run[]): void {
  for (const run of runs) void connection.stop(run.run_id);
}
