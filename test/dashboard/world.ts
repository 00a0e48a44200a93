/** A manager with an audit trail and a clock of its own, its dashboard, and an operator who uses it. */
import { createSessionManager } from "../../src/manager.ts";
import { generateKey } from "../../src/sealing/keyring.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { migrate } from "../../src/store/migrate.ts";
import { dashboard } from "../../src/dashboard/index.ts";
import type { DashboardAccess, DashboardHandler, DashboardOptions } from "../../src/dashboard/index.ts";
import type { SessionManager } from "../../src/manager.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import type { AuditEvent } from "../../src/audit/events.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { databases } from "../servers/databases.ts";

export const base = "/admin/sessions";
export const origin = "https://app.example";
export const everything = ["view", "revoke", "reveal", "export", "audit"] as const;

export interface TestStore {
  readonly name: string;
  open(): Promise<{ readonly store: SessionStore } & AsyncDisposable>;
}

/** In memory, and on each of the databases. */
export const stores: readonly TestStore[] = [
  {
    name: "memory",
    async open() {
      return { store: memoryStore(), async [Symbol.asyncDispose]() {} };
    },
  },
  ...databases.map((database): TestStore => ({
    name: database.name,
    async open() {
      const created = await database.createStore();
      await migrate(created.store);
      return created;
    },
  })),
];

export interface World {
  readonly sessions: SessionManager;
  readonly time: { now: number };
  readonly handler: DashboardHandler;
  /** What `authorize` returns. */
  access: DashboardAccess | Response | null;
  login(user: string, client?: { address?: string; userAgent?: string }): Promise<string>;
  events(): Promise<AuditEvent[]>;
}

export function world(
  options: Partial<SessionManagerOptions> = {},
  more: Partial<DashboardOptions> = {},
): World {
  const time = { now: Date.UTC(2026, 10, 30, 12, 30) };
  const sessions = createSessionManager({
    store: memoryStore(),
    keys: generateKey(),
    audit: true,
    cookie: { secure: false },
    clock: () => time.now,
    ...options,
  });
  const it: World = {
    sessions,
    time,
    handler: dashboard({ sessions, basePath: base, authorize: () => it.access, ...more }),
    access: { actor: "ada@example.org", may: everything },
    async login(user, client = { address: "203.0.113.9", userAgent: "Mozilla/5.0 (X11) Firefox/140" }) {
      const session = await sessions.load(null, client);
      session.login(user, { method: "password", level: "aal1" });
      await sessions.commit(session);
      return session.handle;
    },
    async events() {
      const events = [];
      for await (const event of sessions.audit.list()) events.push(event);
      return events;
    },
  };
  return it;
}

/** A browser at the dashboard: it keeps the cookie, and sends the forms that it was shown. */
export class Browser {
  readonly #handler: DashboardHandler;
  #cookie = "";

  constructor(handler: DashboardHandler) {
    this.#handler = handler;
  }

  async get(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await this.#handler(
      new Request(`${origin}${base}${path}`, {
        ...init,
        headers: { cookie: this.#cookie, "sec-fetch-site": "none", ...(init.headers as object) },
      }),
    );
    for (const cookie of response.headers.getSetCookie()) this.#cookie = cookie.split(";")[0]!;
    return response;
  }

  async text(path: string): Promise<string> {
    return (await this.get(path)).text();
  }

  /** The token of the forms on a page. */
  async token(path: string = "/keys"): Promise<string> {
    return /name="token" value="([^"]+)"/.exec(await this.text(path))?.[1] ?? "";
  }

  async post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const token = fields["token"] ?? (await this.token());
    return this.#handler(
      new Request(`${origin}${base}${path}`, {
        method: "POST",
        headers: { cookie: this.#cookie, origin, "sec-fetch-site": "same-origin", ...headers },
        body: new URLSearchParams({ token, ...fields }),
      }),
    );
  }
}
