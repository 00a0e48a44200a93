/** What a prefetch of a browser does to the session of its visitor. */
import { expect, test } from "vitest";
import { respond } from "../../src/adapters/respond.ts";
import { shareManager } from "../../src/adapters/shared-manager.ts";
import { createSessionManager } from "../../src/manager.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { testKeys } from "../session/doubles.ts";
import type { Session } from "../../src/session/session.ts";

const day = 86_400_000;

async function visitor() {
  let now = 1_700_000_000_000;
  const store = memoryStore();
  const sessions = createSessionManager<{ seen?: number }>({ store, keys: testKeys, clock: () => now });
  const session = await sessions.load(null);
  session.login("ann");
  const cookie = (await sessions.commit(session))!.split(";")[0]!;
  const shared = shareManager(sessions);
  const ask = (purpose: string, handle: (session: Session<{ seen?: number }>) => void) => {
    const headers = new Headers({ cookie, "sec-purpose": purpose });
    const request = new Request("https://localhost/", { headers });
    return respond({
      shared,
      request,
      headers,
      load: () => shared.sessions.load(request),
      async handler(loaded) {
        handle(loaded);
        return new Response("page");
      },
      onError: (error) => {
        throw error;
      },
    });
  };
  const usedAt = async () => (await store.scan(null, 1))[0]!.updatedAt;
  return { ask, usedAt, sessions, wait: (time: number) => (now += time) };
}

test.each(["prefetch", "prefetch;prerender"])(
  "Sec-Purpose: %s, of a page that only reads → answered, and the idle timeout is extended, since the page may be shown without another request",
  async (purpose) => {
    const { ask, usedAt, sessions, wait } = await visitor();
    const before = await usedAt();
    wait(day);
    const response = await ask(purpose, ({ user }) => expect(user).toBe("ann"));
    expect(response.status).toBe(200);
    await expect.poll(usedAt).toBe(before + day);
    await sessions.close();
  },
);

test("Sec-Purpose: prefetch, of a page that changes the session → an empty 503 that nobody stores, and nothing is saved", async () => {
  const { ask, usedAt, sessions, wait } = await visitor();
  const before = await usedAt();
  wait(day);
  const response = await ask("prefetch", (session) => void (session.data.seen = 1));
  expect([response.status, await response.text()]).toEqual([503, ""]);
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(await usedAt()).toBe(before);
  await sessions.close();
});
