/** Messages not acknowledged yet, kept for this tab: a reload sends them again, under the same id, instead of losing them. */

import type { Outgoing } from "./state";

const key = (chatId: string) => `parley.outbox.${chatId}`;

export function keepOutbox(chatId: string, outbox: Outgoing[]): void {
  const unsent = outbox.filter((outgoing) => outgoing.state !== "stored");
  if (unsent.length) sessionStorage.setItem(key(chatId), JSON.stringify(unsent));
  else sessionStorage.removeItem(key(chatId));
}

export function keptOutbox(chatId: string): Outgoing[] {
  try {
    return JSON.parse(sessionStorage.getItem(key(chatId)) ?? "[]") as Outgoing[];
  } catch {
    return [];
  }
}

/** A new message for the outbox; its id makes every repetition of the sending one message. */
export function outgoing(content: string, agent_id?: string): Outgoing {
  return { client_message_id: newId(), content, agent_id, created_at: new Date().toISOString(), state: "waiting" };
}

/** A random UUID, also where the page is served without TLS and `randomUUID` is not there. */
function newId(): string {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
