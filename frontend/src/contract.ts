/** What the server sends and takes: the shapes of its REST answers and of its chat events. */

export interface User {
  user_id: string;
  email: string;
}

export interface Tokens {
  access_token: string;
  refresh_token?: string;
}

export interface Workspace {
  workspace_id: string;
  name: string;
  owner: string;
  agents?: string[];
  coordinator_agent?: string | null;
  /** What this user is in it. */
  role: Role;
}

export type Role = "owner" | "editor" | "viewer";

export interface Member {
  user_id: string;
  email: string;
  role: Role;
}

export interface Agent {
  agent_id: string;
  name: string;
  short_description: string;
  ready: boolean;
  /** A plain sentence about what is missing; null when the agent can answer. */
  needs: string | null;
}

export interface Chat {
  chat_id: string;
  workspace_id: string;
  created_by?: string;
  /** How its first message began; null while there is none. */
  name?: string | null;
  created_at?: string;
}

export interface Document {
  document_id: string;
  name: string;
  media_type: string;
  size_bytes: number;
  passages: number;
  created_at: string;
}

export interface ApiKey {
  key_id: string;
  name: string;
  created_at?: string;
  last_used_at?: string | null;
}

export interface Message {
  message_id: string;
  /** Its number in the chat's log. */
  seq: number;
  role: "user" | "assistant";
  user_id?: string | null;
  agent_id?: string | null;
  content: string;
  run_id?: string | null;
  created_at: string;
  client_message_id?: string | null;
  /** It was stopped before it was done. */
  partial?: boolean;
}

/** One page of a chat's history, newest first. */
export interface History {
  messages: Message[];
  /** `before` of the page before; null at the chat's beginning. */
  next: number | null;
  /** Number of the last event that these messages cover. */
  last_seq: number;
  /** Number before the oldest event of a run still in progress; `last_seq` when there is none. */
  replay_from: number;
}

export type RunStatus = "pending" | "running" | "interrupted" | "success" | "error" | "timeout" | "cancelled";

/** Any JSON value: what an agent may ask a human, and what the human may answer. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

interface Numbered {
  chat_id: string;
  seq: number;
}

/** The numbered events of a chat's log, in the order of `seq`, without gaps. */
export type ChatEvent = Numbered &
  (
    | ({ type: "message" } & Message)
    | { type: "token"; run_id: string; message_id: string; agent_id?: string | null; delta: string }
    | { type: "step"; run_id: string; agent_id?: string | null; name: string; phase: "start" | "end" }
    | { type: "interrupt"; run_id: string; interrupt_id: string; value: Json }
    | { type: "run"; run_id: string; status?: RunStatus; attempt?: number; supersedes?: number | null }
    | { type: "error"; run_id?: string | null; code: string; message: string; retryable?: boolean }
  );

export const CHAT_EVENT_TYPES = ["message", "token", "step", "interrupt", "run", "error"] as const;

/** Said to one socket, outside the log, when what it missed is no longer kept. */
export const LOG_TRIMMED = "log_trimmed";

/** Sent to one socket after each connect; the token replaces the one before. */
export interface SessionEvent {
  chat_id: string;
  user_id: string;
  resume_token: string;
  expires_at: string;
  last_seq: number;
}

export interface ClosedEvent {
  chat_id: string;
  code: string;
  message: string;
}

export interface Refusal {
  code: string;
  message: string;
}

export type Acknowledgement = { ok: true; message_id?: string; run_id?: string; seq?: number } | { ok: false; error: Refusal };
