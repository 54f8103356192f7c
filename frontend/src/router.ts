/** Pages live behind the hash: every path belongs to the REST API. */

import { Observable, useObservable } from "./observable";

/** One row per page; later pages add theirs here. */
const ROUTES = {
  workspaces: "/",
  signIn: "/sign-in",
  register: "/register",
  account: "/account",
  workspace: "/workspace/:workspaceId",
  agents: "/workspace/:workspaceId/agents",
  documents: "/workspace/:workspaceId/documents",
  members: "/workspace/:workspaceId/members",
  settings: "/workspace/:workspaceId/settings",
  chat: "/workspace/:workspaceId/chat/:chatId",
} as const;

export type PageName = keyof typeof ROUTES;
export type Params = Record<string, string>;
export type Route = { page: PageName | "notFound"; params: Params };

/** The page that a hash such as "#/workspace/7/chat/9" names. */
export function parseHash(hash: string): Route {
  const parts = split(hash.replace(/^#/, "") || "/");
  for (const [page, pattern] of Object.entries(ROUTES)) {
    const params = match(split(pattern), parts);
    if (params) return { page: page as PageName, params };
  }
  return { page: "notFound", params: {} };
}

function split(path: string): string[] {
  return path.split("/").filter(Boolean);
}

function match(pattern: string[], parts: string[]): Params | null {
  if (pattern.length !== parts.length) return null;
  const params: Params = {};
  for (const [index, name] of pattern.entries()) {
    const part = parts[index]!;
    if (name.startsWith(":")) params[name.slice(1)] = decoded(part);
    else if (name !== part) return null;
  }
  return params;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a page, for `href`. */
export function href(page: PageName, params: Params = {}): string {
  return "#" + ROUTES[page].replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
}

export function go(page: PageName, params: Params = {}): void {
  location.hash = href(page, params);
}

/** Like `go`, without a new entry in the browser's history. */
export function replace(page: PageName, params: Params = {}): void {
  history.replaceState(null, "", href(page, params));
  current.set(parseHash(location.hash));
}

const current = new Observable<Route>(parseHash(typeof location === "undefined" ? "" : location.hash));

if (typeof window !== "undefined") {
  addEventListener("hashchange", () => current.set(parseHash(location.hash)));
}

export function useRoute(): Route {
  return useObservable(current);
}
