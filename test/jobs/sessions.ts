import { createSessionManager, type SessionManager, type SessionManagerOptions } from "../../src/index.ts";
import type { SessionStore } from "../../src/store/contract.ts";

export interface Basket {
  items: string[];
}

/** A clock that a test moves by hand. */
export class HandClock {
  time = 1_790_000_000_000;
  readonly now = (): number => this.time;
}

export function manage(
  store: SessionStore,
  keys: string | string[],
  options: Partial<SessionManagerOptions<Basket>> = {},
): SessionManager<Basket> {
  return createSessionManager<Basket>({ store, keys, ...options });
}

/** Saves a session and answers the cookie that a browser would send back. */
export async function visit(sessions: SessionManager<Basket>, user?: string, item = "tea"): Promise<string> {
  const session = await sessions.load(null, { address: "192.0.2.7", userAgent: "Test" });
  if (user !== undefined) session.login(user);
  session.data.items = [item];
  return cookieOf(await sessions.commit(session));
}

export function cookieOf(setCookie: string | null): string {
  if (setCookie === null) throw new Error("no cookie was set");
  return setCookie.split(";")[0]!;
}
