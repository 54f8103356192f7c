/** Whom this page speaks for. */

import * as api from "./api";
import { ApiError } from "./api";
import type { User } from "./contract";
import { credentials } from "./credentials";
import { Observable } from "./observable";

export type Identity =
  | { status: "asking"; user: null }
  /** isOpen: the server takes everybody here for this user; there is nothing to sign out of. */
  | { status: "known"; user: User; isOpen: boolean }
  | { status: "unknown"; user: null }
  | { status: "unreachable"; user: null };

export const identity = new Observable<Identity>({ status: "asking", user: null });

/** Asks the server who this is, with the tokens of this browser or, on an open server, without any. */
export async function identify(): Promise<void> {
  const isOpen = credentials.value === null;
  try {
    identity.set({ status: "known", user: await api.whoAmI(), isOpen });
  } catch (error) {
    const isRefused = error instanceof ApiError && [401, 403, 404, 422].includes(error.status);
    identity.set({ status: isRefused ? "unknown" : "unreachable", user: null });
  }
}

/** Keeps `identity` true from now on: signing in or out here or in another tab asks again. */
export function followCredentials(): void {
  let hadTokens = credentials.value !== null;
  credentials.subscribe((tokens) => {
    const hasTokens = tokens !== null;
    if (hasTokens !== hadTokens) void identify();
    hadTokens = hasTokens;
  });
  void identify();
}
