/** What a chat is called: the server's title, else how its first message began, else when it was made. */

import type { Chat, Message } from "../contract";
import { credentials } from "../credentials";
import { when } from "../dates";
import { Observable } from "../observable";

const KEY = "parley.titles";
const MOST_KEPT = 200;
const LONGEST = 60;

type Titles = Record<string, string>;

function stored(): Titles {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Titles;
  } catch {
    return {};
  }
}

/** First words of the chats read on this browser; forgotten at sign-out. */
export const titles = new Observable<Titles>(stored());

credentials.subscribe((tokens) => {
  if (tokens) return;
  localStorage.removeItem(KEY);
  titles.set({});
});

export function titleOf(chat: Chat, known: Titles): string {
  return chat.title || known[chat.chat_id] || (chat.created_at ? `Chat of ${when(chat.created_at)}` : "New chat");
}

/** Remembers how the chat began. */
export function keepTitle(chatId: string, first: Pick<Message, "content"> | undefined): void {
  const title = first ? shortened(first.content) : "";
  if (!title || titles.value[chatId] === title) return;
  const { [chatId]: _before, ...others } = titles.value;
  const kept = Object.fromEntries([...Object.entries(others), [chatId, title]].slice(-MOST_KEPT)) as Titles;
  localStorage.setItem(KEY, JSON.stringify(kept));
  titles.set(kept);
}

function shortened(content: string): string {
  const line = content.trim().replace(/\s+/g, " ");
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1).trimEnd()}…`;
}
