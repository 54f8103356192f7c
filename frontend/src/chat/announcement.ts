import type { ChatState, Run } from "./state";
import { isInProgress } from "./state";

/** What a screen reader is told when `before` became `after`; null when nothing is worth saying. Tokens are never read out. */
export function announcement(before: ChatState, after: ChatState, agentName: (agent_id: string | null) => string): string | null {
  if (!before.isLoaded || before.runs === after.runs) return null;
  const said = Object.values(after.runs).map((run) => news(before.runs[run.run_id], run, after, agentName(run.agent_id)));
  return said.filter(Boolean).join(" ") || null;
}

function news(before: Run | undefined, after: Run, state: ChatState, name: string): string | null {
  if (before === after) return null;
  if (after.hasAnswer && !before?.hasAnswer) return `${name} answered: ${answerOf(state, after.run_id)}`;
  if (after.question && before?.question?.interrupt_id !== after.question.interrupt_id) return `${name} asks you a question.`;
  if (after.failure && !before?.failure) return after.failure.message;
  if (isInProgress(after) || before?.status === after.status || after.hasAnswer) return null;
  return after.status === "cancelled" ? "The answer was stopped." : null;
}

function answerOf(state: ChatState, run_id: string): string {
  return state.messages.findLast((message) => message.role === "assistant" && message.run_id === run_id)?.content ?? "";
}
