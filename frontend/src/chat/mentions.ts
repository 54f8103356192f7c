/** `@name`: which agent of the workspace a message is for. */

import type { Agent } from "../contract";

export interface Mention {
  /** Where the "@" stands. */
  start: number;
  query: string;
}

/** The mention being typed right before the caret, or null. */
export function mentionAt(text: string, caret: number): Mention | null {
  const found = /(^|\s)@([^\s@]*)$/.exec(text.slice(0, caret));
  return found ? { start: caret - found[2]!.length - 1, query: found[2]!.toLowerCase() } : null;
}

/** The agents that a half-typed mention may mean, those whose name begins with it first; none when it is complete. */
export function candidates(agents: Agent[], query: string): Agent[] {
  if (agents.some((agent) => agent.agent_id.toLowerCase() === query)) return [];
  const rank = (agent: Agent): number => {
    const names = [agent.agent_id.toLowerCase(), agent.name.toLowerCase()];
    if (names.some((name) => name.startsWith(query))) return 0;
    return names.some((name) => name.includes(query)) ? 1 : 2;
  };
  return agents.filter((agent) => rank(agent) < 2).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** The text with the mention finished, and where the caret stands then. */
export function completed(text: string, mention: Mention, caret: number, agent: Agent): { text: string; caret: number } {
  const before = text.slice(0, mention.start) + `@${agent.agent_id} `;
  return { text: before + text.slice(caret).replace(/^ /, ""), caret: before.length };
}

/** The agent that a finished message names first, or null: then the coordinator answers. */
export function addressee(text: string, agents: Agent[]): Agent | null {
  for (const [, handle] of text.matchAll(/(?:^|\s)@(\S+)/g)) {
    const wanted = handle!.replace(/[.,;:!?)]+$/, "").toLowerCase();
    const agent = agents.find((each) => each.agent_id.toLowerCase() === wanted || each.name.toLowerCase() === wanted);
    if (agent) return agent;
  }
  return null;
}
