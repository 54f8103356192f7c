import { useState } from "preact/hooks";
import * as api from "../api";
import { titleOf } from "../chat/titles";
import type { Chat } from "../contract";
import { identity } from "../identity";
import { useObservable } from "../observable";
import type { Room } from "../room";
import { go, href, useRoute, type PageName } from "../router";
import { confirmDone } from "./Announcer";
import { Icon, Logo, type IconName } from "./Icon";

interface Entry {
  page: PageName;
  label: string;
  icon: IconName;
}

/** The parts of the server that stand beside each other. */
const SECTIONS: Entry[] = [{ page: "workspaces", label: "Workspaces", icon: "home" }];

const ROOM_PAGES: Entry[] = [
  { page: "agents", label: "Agents", icon: "agent" },
  { page: "documents", label: "Documents", icon: "document" },
  { page: "members", label: "Members", icon: "people" },
  { page: "settings", label: "Settings", icon: "settings" },
];

export function Sidebar({ room }: { room: Room | null }) {
  const { page } = useRoute();
  return (
    <>
      <a class="brand" href={href("workspaces")}>
        <Logo />
        Parley
      </a>
      <nav class="nav" aria-label="Main">
        <ul>
          {SECTIONS.map((entry) => (
            <NavLink key={entry.page} entry={entry} params={{}} isCurrent={page === entry.page} />
          ))}
        </ul>
      </nav>
      {room && <RoomNav room={room} />}
      <Whoami />
    </>
  );
}

function NavLink({ entry, params, isCurrent }: { entry: Entry; params: Record<string, string>; isCurrent: boolean }) {
  return (
    <li>
      <a href={href(entry.page, params)} aria-current={isCurrent ? "page" : undefined}>
        <Icon name={entry.icon} />
        {entry.label}
      </a>
    </li>
  );
}

function RoomNav({ room }: { room: Room }) {
  const { page } = useRoute();
  const params = { workspaceId: room.workspaceId };
  const name = room.workspace.value?.name ?? "Workspace";
  return (
    <>
      <nav class="nav" aria-label={`Workspace ${name}`}>
        <a class="nav-title" href={href("workspace", params)} title={name} aria-current={page === "workspace" ? "page" : undefined}>
          {name}
        </a>
        <ul>
          {ROOM_PAGES.map((entry) => (
            <NavLink key={entry.page} entry={entry} params={params} isCurrent={page === entry.page} />
          ))}
        </ul>
      </nav>
      <nav class="nav chats" aria-label="Chats">
        <div class="nav-head">
          <span class="nav-title">Chats</span>
          <a class="quiet square" href={href("workspace", params)} aria-label="New chat" title="New chat">
            <Icon name="plus" />
          </a>
        </div>
        <ChatList chats={room.chats.value} params={params} />
      </nav>
    </>
  );
}

function ChatList({ chats, params }: { chats: Chat[] | null; params: Record<string, string> }) {
  const route = useRoute();
  if (!chats) return null;
  if (!chats.length) return <p class="nav-empty">No chats yet.</p>;
  return (
    <ul class="chat-list">
      {newestFirst(chats).map((chat) => (
        <li key={chat.chat_id}>
          <a
            href={href("chat", { ...params, chatId: chat.chat_id })}
            aria-current={route.params.chatId === chat.chat_id ? "page" : undefined}
          >
            <span>{titleOf(chat)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

export function newestFirst(chats: Chat[]): Chat[] {
  return [...chats].sort((a, b) => (b.created_at ?? "").localeCompare(a.created_at ?? ""));
}

function Whoami() {
  const who = useObservable(identity);
  const { page } = useRoute();
  const [isLeaving, setLeaving] = useState(false);
  if (who.status !== "known") return null;
  const leave = async () => {
    setLeaving(true);
    await api.logout();
    go("signIn");
    confirmDone("You are signed out.");
  };
  return (
    <nav class="nav whoami" aria-label="Account">
      <a href={href("account")} aria-current={page === "account" ? "page" : undefined} title={who.user.email}>
        <Icon name="user" />
        <span>{who.user.email}</span>
      </a>
      {!who.isOpen && (
        <button type="button" class="quiet square" aria-label="Sign out" title="Sign out" disabled={isLeaving} onClick={leave}>
          <Icon name="out" />
        </button>
      )}
    </nav>
  );
}
