import type { Chat } from "../contract";
import { when } from "../dates";

/** What a chat is called: how it began, else when it was made. */
export function titleOf(chat: Chat | undefined): string {
  if (chat?.name) return chat.name;
  return chat?.created_at ? `Chat of ${when(chat.created_at)}` : "Chat";
}
