import { useState } from "preact/hooks";
import * as api from "../api";
import { titleOf } from "../chat/titles";
import { Composer } from "../components/Composer";
import { Loading, PageHead } from "../components/Frame";
import { Icon } from "../components/Icon";
import { Problem } from "../components/Problem";
import { newestFirst } from "../components/Sidebar";
import type { Agent } from "../contract";
import { when } from "../dates";
import { useAction } from "../resource";
import { useRoom, type Room } from "../room";
import { go, href } from "../router";

/** First messages of chats that are being opened: written here, sent there. */
const firsts = new Map<string, { content: string; agentId?: string }>();

/** The first message written for a new chat; given out once. */
export function takeFirst(chatId: string): { content: string; agentId?: string } | undefined {
  const first = firsts.get(chatId);
  firsts.delete(chatId);
  return first;
}

export function WorkspaceHome() {
  const room = useRoom();
  const [attempt, setAttempt] = useState(0);
  const begin = useAction(async (content: string, agentId?: string) => {
    const chat = await api.createChat(room.workspaceId);
    firsts.set(chat.chat_id, { content, agentId });
    void room.chats.reload();
    go("chat", { workspaceId: room.workspaceId, chatId: chat.chat_id });
  });
  const onSend = async (content: string, agentId?: string) => {
    const key = draftKey(room);
    if (await begin.run(content, agentId)) return;
    sessionStorage.setItem(key, content);
    setAttempt(attempt + 1);
  };
  if (!room.workspace.value) return room.workspace.error ? null : <Loading what="the workspace" />;
  return (
    <div class="page home">
      <PageHead title={room.workspace.value.name} />
      <section class="begin" aria-label="New chat">
        <h2>{room.isEditor ? "What would you like to know?" : "You read here"}</h2>
        {room.agents.length === 0 ? <NoAgents room={room} /> : <Team room={room} />}
        <Problem error={begin.error} />
        {room.isEditor && (
          <Composer
            key={attempt}
            agents={room.agents}
            coordinator={room.coordinator}
            draftKey={draftKey(room)}
            isDisabled={begin.isBusy}
            onSend={onSend}
          />
        )}
      </section>
      <RecentChats room={room} />
    </div>
  );
}

const draftKey = (room: Room) => `parley.draft.new.${room.workspaceId}`;

function NoAgents({ room }: { room: Room }) {
  return (
    <p class="note">
      No agent works here yet. <a href={href("agents", { workspaceId: room.workspaceId })}>Choose the agents of this workspace</a>.
    </p>
  );
}

function Team({ room }: { room: Room }) {
  return (
    <ul class="team">
      {room.agents.map((agent) => (
        <TeamMember key={agent.agent_id} agent={agent} isCoordinator={agent.agent_id === room.coordinator?.agent_id} />
      ))}
    </ul>
  );
}

function TeamMember({ agent, isCoordinator }: { agent: Agent; isCoordinator: boolean }) {
  return (
    <li>
      <p class="by">
        <span class="face" aria-hidden="true">
          {agent.name.slice(0, 1).toUpperCase()}
        </span>
        {agent.name}
        {isCoordinator && <span class="chip">Answers by default</span>}
      </p>
      <p class="note">{agent.short_description}</p>
      {agent.needs && (
        <p class="needs">
          <Icon name="warn" />
          {agent.needs}
        </p>
      )}
    </li>
  );
}

function RecentChats({ room }: { room: Room }) {
  const chats = newestFirst(room.chats.value ?? []).slice(0, 6);
  if (!chats.length) return <Problem error={room.chats.error} onRetry={() => void room.chats.reload()} />;
  return (
    <section aria-labelledby="recent">
      <h2 id="recent">Recent chats</h2>
      <ul class="list">
        {chats.map((chat) => (
          <li key={chat.chat_id}>
            <a class="list-link" href={href("chat", { workspaceId: room.workspaceId, chatId: chat.chat_id })}>
              <Icon name="chat" />
              <span class="grow clip">{titleOf(chat)}</span>
              {chat.created_at && <time dateTime={chat.created_at}>{when(chat.created_at)}</time>}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
