/** Who is signed in on this browser: one pair of tokens, shared by all tabs. */

import type { Tokens } from "./contract";
import { Observable } from "./observable";

const KEY = "parley.tokens";

function stored(): Tokens | null {
  try {
    const tokens = JSON.parse(localStorage.getItem(KEY) ?? "null") as Tokens | null;
    return typeof tokens?.access_token === "string" ? tokens : null;
  } catch {
    return null;
  }
}

export const credentials = new Observable<Tokens | null>(stored());

/** Keeps the tokens for this and every other tab; null forgets them. */
export function keepTokens(tokens: Tokens | null): void {
  if (tokens) localStorage.setItem(KEY, JSON.stringify(tokens));
  else localStorage.removeItem(KEY);
  credentials.set(tokens);
}

/** Takes over what another tab has stored meanwhile. */
export function rereadTokens(): Tokens | null {
  const tokens = stored();
  if (tokens?.access_token !== credentials.value?.access_token) credentials.set(tokens);
  return credentials.value;
}

addEventListener("storage", (event) => {
  if (event.key === KEY || event.key === null) rereadTokens();
});
