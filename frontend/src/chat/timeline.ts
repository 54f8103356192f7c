/** What a chat shows, from top to bottom: each question followed by its answer, in history as in a live conversation. */

import type { Message } from "../contract";
import type { ChatState, Notice, Outgoing, Run } from "./state";

export type Item =
  | { kind: "question"; key: string; message: Message }
  | { kind: "answer"; key: string; run: Run | null; message: Message | null }
  | { kind: "outgoing"; key: string; outgoing: Outgoing }
  | { kind: "notice"; key: string; notice: Notice };

export function timeline(state: ChatState): Item[] {
  const answers = answersByRun(state.messages);
  const shown = new Set<string>();
  const items: Item[] = [];
  const showRun = (run_id: string) => {
    if (shown.has(run_id)) return;
    shown.add(run_id);
    items.push(...answerItems(state.runs[run_id] ?? null, answers.get(run_id) ?? []));
  };
  for (const message of state.messages) {
    if (message.role === "user") items.push({ kind: "question", key: message.client_message_id ?? message.message_id, message });
    else if (!message.run_id) items.push({ kind: "answer", key: message.message_id, run: null, message });
    if (message.run_id) showRun(message.run_id);
  }
  for (const run_id of Object.keys(state.runs)) showRun(run_id);
  for (const notice of state.notices) items.push({ kind: "notice", key: `notice-${notice.seq}`, notice });
  for (const outgoing of state.outbox) items.push({ kind: "outgoing", key: outgoing.client_message_id, outgoing });
  return items;
}

function answersByRun(messages: Message[]): Map<string, Message[]> {
  const answers = new Map<string, Message[]>();
  for (const message of messages) {
    if (message.role !== "assistant" || !message.run_id) continue;
    answers.set(message.run_id, [...(answers.get(message.run_id) ?? []), message]);
  }
  return answers;
}

function answerItems(run: Run | null, stored: Message[]): Item[] {
  if (stored.length === 0) return run ? [{ kind: "answer", key: run.run_id, run, message: null }] : [];
  return stored.map((message, index) => {
    const isLast = index === stored.length - 1;
    return { kind: "answer", key: isLast && message.run_id ? message.run_id : message.message_id, run: isLast ? run : null, message };
  });
}
