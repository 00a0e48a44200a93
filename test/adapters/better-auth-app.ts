import { betterAuth, type BetterAuthOptions } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import assert from "node:assert/strict";
import type { StoredSecondaryStorage } from "../../src/adapters/better-auth.ts";

const origin = "http://localhost:3000";

/** A browser that talks to better-auth over its own handler. */
export class Browser {
  readonly #handler: (request: Request) => Promise<Response>;
  readonly #jar: Map<string, string>;

  constructor(handler: (request: Request) => Promise<Response>, jar: Map<string, string> = new Map()) {
    this.#handler = handler;
    this.#jar = jar;
  }

  /** Another tab with the same cookies, or the same browser after the server was replaced. */
  clone(handler: (request: Request) => Promise<Response> = this.#handler): Browser {
    return new Browser(handler, new Map(this.#jar));
  }

  async ask(path: string, body?: object): Promise<{ status: number; json: any }> {
    const cookie = [...this.#jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await this.#handler(
      new Request(`${origin}/api/auth${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { origin, cookie, "content-type": "application/json", "x-forwarded-for": "10.0.0.9" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      this.#jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    const text = await response.text();
    return { status: response.status, json: text === "" ? null : JSON.parse(text) };
  }

  async logIn(): Promise<this> {
    const { status, json } = await this.ask("/sign-in/email", { email, password: secret });
    assert.equal(status, 200, JSON.stringify(json));
    return this;
  }

  async user(): Promise<string | null> {
    return ((await this.ask("/get-session")).json as { user: { email: string } } | null)?.user.email ?? null;
  }

  async tokens(): Promise<string[]> {
    return ((await this.ask("/list-sessions")).json as { token: string }[]).map(({ token }) => token);
  }
}

export const email = "ada@example.com";
const secret = "correct horse battery staple";

/** better-auth with one user, whose first session is not kept. */
export async function application(
  secondaryStorage: StoredSecondaryStorage,
  session: BetterAuthOptions["session"] = {},
): Promise<{ browser: () => Browser; userId: string; database: Record<string, any[]> }> {
  const database: Record<string, any[]> = { user: [], session: [], account: [], verification: [] };
  const auth = betterAuth({
    baseURL: origin,
    secret: "a secret of thirty-two characters or more",
    database: memoryAdapter(database),
    secondaryStorage,
    // Hashing passwords is not what is tested here.
    emailAndPassword: {
      enabled: true,
      password: { hash: async (text) => text, verify: async ({ hash, password }) => hash === password },
    },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true },
    session,
  });
  const browser = () => new Browser((request) => auth.handler(request));
  const first = browser();
  const { status, json } = await first.ask("/sign-up/email", { email, password: secret, name: "Ada" });
  assert.equal(status, 200, JSON.stringify(json));
  await first.ask("/sign-out", {});
  return { browser, userId: json.user.id as string, database };
}

/** Storage whose operations can be held, so that requests interleave as a test says. */
export class HeldStorage implements StoredSecondaryStorage {
  readonly #below: StoredSecondaryStorage;
  before: (operation: "get" | "set" | "delete", key: string) => Promise<void> | void = () => {};

  constructor(below: StoredSecondaryStorage) {
    this.#below = below;
  }

  get = async (key: string): Promise<string | null> => {
    const value = await this.#below.get(key);
    await this.before("get", key); // between the read and what is made of it
    return value;
  };
  set = async (key: string, value: string, ttl?: number): Promise<void> => {
    await this.before("set", key);
    return this.#below.set(key, value, ttl);
  };
  delete = async (key: string): Promise<void> => {
    await this.before("delete", key);
    return this.#below.delete(key);
  };
  getAndDelete = (key: string): Promise<string | null> => this.#below.getAndDelete(key);
  increment = (key: string, ttl: number): Promise<number> => this.#below.increment(key, ttl);
}

/** As people write it over Redis: a map. */
export function plainStorage(): StoredSecondaryStorage {
  const map = new Map<string, string>();
  return {
    get: async (key) => map.get(key) ?? null,
    set: async (key, value) => void map.set(key, value),
    delete: async (key) => void map.delete(key),
    async getAndDelete(key) {
      const value = map.get(key) ?? null;
      map.delete(key);
      return value;
    },
    async increment(key) {
      const count = Number(map.get(key) ?? 0) + 1;
      map.set(key, String(count));
      return count;
    },
  };
}
