/** The server's REST routes, one typed function each. */

import type { Agent, ApiKey, Chat, Document, History, Member, Role, Tokens, User, Workspace } from "./contract";
import { credentials, keepTokens, rereadTokens } from "./credentials";

/** The server refused, or could not be reached (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: Record<string, string[]> = {},
  ) {
    super(message);
  }

  /** All that was said, field by field where the server told fields apart. */
  get detail(): string {
    const fields = Object.values(this.fields).flat();
    return fields.length ? fields.join(" ") : this.message;
  }
}

interface Options {
  body?: unknown;
  form?: FormData;
  bearer?: string | null;
}

/** A 401 that is about the thing asked for, not about the token. */
const DOMAIN_REFUSAL = /^(User is not the owner|Incorrect password)/;

async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  const bearer = options.bearer === undefined ? credentials.value?.access_token : options.bearer;
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  const body = options.form ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  try {
    return await fetch(path, { method, headers, body, cache: "no-store", credentials: "same-origin" });
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
}

async function refused(response: Response): Promise<ApiError> {
  const answer = (await response.json().catch(() => ({}))) as { msg?: string; error?: string; errors?: Record<string, string[]> };
  const message = answer.msg ?? answer.error ?? `The server answered ${response.status}.`;
  return new ApiError(response.status, message, answer.errors);
}

/** The refresh under way in this tab: a refresh token is good once. */
let refreshing: Promise<boolean> | null = null;

/** True when new tokens are in place; one request of one tab asks for them, the others take them over. */
function refresh(used: string): Promise<boolean> {
  const work = () => renew(used);
  refreshing ??= (navigator.locks ? navigator.locks.request("parley.refresh", work) : work()).finally(() => (refreshing = null));
  return refreshing;
}

async function renew(used: string): Promise<boolean> {
  const current = rereadTokens();
  if (!current) return false;
  if (current.access_token !== used) return true;
  const response = await send("POST", "/auth/refresh", { bearer: current.refresh_token ?? null });
  if (!response.ok && response.status !== 401) throw await refused(response);
  keepTokens(response.ok ? { refresh_token: current.refresh_token, ...((await response.json()) as Tokens) } : null);
  return response.ok;
}

async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const used = credentials.value?.access_token;
  const response = await send(method, path, options);
  if (response.ok) return (await response.json()) as T;
  const error = await refused(response);
  if (error.status !== 401 || !used || options.bearer !== undefined || DOMAIN_REFUSAL.test(error.message)) throw error;
  if (!(await refresh(used))) throw error;
  const again = await send(method, path, options);
  if (again.ok) return (await again.json()) as T;
  throw await refused(again);
}

const id = encodeURIComponent;

// Accounts

export async function login(email: string, password: string): Promise<void> {
  keepTokens(await request<Tokens>("POST", "/auth/login", { body: { email, password }, bearer: null }));
}

export async function register(email: string, password: string): Promise<void> {
  await request("POST", "/register", { body: { email, password }, bearer: null });
}

/** Ends the sign-in on the server where that can be reached, and on this browser in any case; nothing half-written stays. */
export async function logout(): Promise<void> {
  try {
    await request("POST", "/auth/logout");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  } finally {
    sessionStorage.clear();
    keepTokens(null);
  }
}

export async function whoAmI(): Promise<User> {
  return (await request<{ user: User }>("GET", "/user")).user;
}

export const changeEmail = (email: string) => request("PUT", "/user", { body: { email } });

export const changePassword = (old_password: string, new_password: string) =>
  request("PUT", "/user/password", { body: { old_password, new_password } });

export const deleteAccount = (password: string) => request("DELETE", "/user", { body: { password } });

export async function listApiKeys(): Promise<ApiKey[]> {
  return (await request<{ api_keys: ApiKey[] }>("GET", "/user/api_keys")).api_keys;
}

export const createApiKey = (name: string) =>
  request<{ api_key: string; key_id: string; name: string }>("POST", "/user/api_key", { body: { name } });

export const deleteApiKey = (keyId: string) => request("DELETE", `/user/api_key/${id(keyId)}`);

// Workspaces

export async function listWorkspaces(): Promise<Workspace[]> {
  return (await request<{ workspaces: Workspace[] }>("GET", "/workspace")).workspaces;
}

export async function getWorkspace(workspaceId: string): Promise<Workspace> {
  return (await request<{ workspace: Workspace }>("GET", `/workspace/${id(workspaceId)}`)).workspace;
}

export async function createWorkspace(name: string): Promise<Workspace> {
  return (await request<{ workspace: Workspace }>("POST", "/workspace", { body: name ? { name } : {} })).workspace;
}

/** Agents that a new workspace begins with, where they can answer; the first of them answers by default. */
const FIRST_AGENTS = ["assistant", "documents"];

/** Gives a new workspace the agents that are of use at once. */
export async function furnish(workspaceId: string): Promise<void> {
  const ready = new Set((await listAgents()).filter((agent) => agent.ready).map((agent) => agent.agent_id));
  for (const agent_id of FIRST_AGENTS.filter((each) => ready.has(each))) await addAgent(workspaceId, agent_id);
}

export const renameWorkspace = (workspaceId: string, name: string) =>
  request("PUT", `/workspace/${id(workspaceId)}/rename`, { body: { name } });

export const deleteWorkspace = (workspaceId: string) => request("DELETE", `/workspace/${id(workspaceId)}`);

export async function listAgents(): Promise<Agent[]> {
  return (await request<{ agents: Agent[] }>("GET", "/agent")).agents;
}

export const addAgent = (workspaceId: string, agent_id: string) =>
  request("POST", `/workspace/${id(workspaceId)}/agent`, { body: { agent_id } });

export const removeAgent = (workspaceId: string, agent_id: string) =>
  request("DELETE", `/workspace/${id(workspaceId)}/agent`, { body: { agent_id } });

export const setCoordinator = (workspaceId: string, agent_id: string) =>
  request("PUT", `/workspace/${id(workspaceId)}/coordinator`, { body: { agent_id } });

export async function listMembers(workspaceId: string): Promise<Member[]> {
  return (await request<{ members: Member[] }>("GET", `/workspace/${id(workspaceId)}/members`)).members;
}

export const addMember = (workspaceId: string, email: string, role: Role) =>
  request("POST", `/workspace/${id(workspaceId)}/members`, { body: { email, role } });

export const removeMember = (workspaceId: string, userId: string) =>
  request("DELETE", `/workspace/${id(workspaceId)}/members/${id(userId)}`);

export async function listDocuments(workspaceId: string): Promise<Document[]> {
  return (await request<{ documents: Document[] }>("GET", `/workspace/${id(workspaceId)}/documents`)).documents;
}

export function uploadDocument(workspaceId: string, file: File): Promise<unknown> {
  const form = new FormData();
  form.append("file", file);
  return request("POST", `/workspace/${id(workspaceId)}/document`, { form });
}

export const deleteDocument = (workspaceId: string, documentId: string) =>
  request("DELETE", `/workspace/${id(workspaceId)}/document/${id(documentId)}`);

// Chats

export async function listChats(workspaceId: string): Promise<Chat[]> {
  return (await request<{ chats: Chat[] }>("GET", `/workspace/${id(workspaceId)}/chats`)).chats;
}

export async function createChat(workspaceId: string): Promise<Chat> {
  return (await request<{ chat: Chat }>("POST", `/chat?workspace_id=${id(workspaceId)}`)).chat;
}

export const deleteChat = (chatId: string) => request("DELETE", `/chat?chat_id=${id(chatId)}`);

export function getHistory(chatId: string, before?: number, limit = 50): Promise<History> {
  const query = new URLSearchParams({ limit: String(limit), ...(before === undefined ? {} : { before: String(before) }) });
  return request<History>("GET", `/chat/${id(chatId)}/messages?${query}`);
}

/** A string that opens one socket to this chat, once, within a minute. */
export async function authorizeChat(chatId: string): Promise<string> {
  return (await request<{ connection_string: string }>("GET", `/chat/authorize?chat_id=${id(chatId)}`)).connection_string;
}

/** A string that sends one message to this chat, once, within half a minute. */
export async function authorizeMessage(chatId: string): Promise<string> {
  return (await request<{ message_string: string }>("GET", `/chat/authorize/message?chat_id=${id(chatId)}`)).message_string;
}
