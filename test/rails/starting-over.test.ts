import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "vitest";
import { createSessionManager, ValueError, type SessionManager } from "../../src/index.ts";
import { decodeRuby } from "../../src/rails/decode.ts";
import { encodeRuby } from "../../src/rails/encode.ts";
import { railsFlash, railsFormat, railsStore } from "../../src/rails/index.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { cookieOf } from "../session/doubles.ts";
import { railsKeys } from "./gem.ts";

type Data = Record<string, unknown>;
type Act = (session: Awaited<ReturnType<SessionManager<Data>["load"]>>) => unknown;

const format = railsFormat({
  ...railsKeys,
  userOf: (data) => (data["user_id"] === undefined ? undefined : String(data["user_id"])),
});

describe("R42: a session that starts over", () => {
  let folder: string;
  let store: SessionStore;
  let sessions: SessionManager<Data>;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "stored-session-rails-"));
    store = railsStore(join(folder, "rails.sqlite3"), { createTable: true });
    await store.migrate();
    sessions = createSessionManager<Data>({
      store,
      format,
      cookie: { name: "_my_app_session", persist: false },
    });
  });
  afterEach(async () => {
    await sessions.close();
    rmSync(folder, { recursive: true });
  });

  /** A row as Rails may have written it, with keys that have no name in JavaScript. */
  async function plant(...more: [unknown, unknown][]): Promise<string> {
    const now = Date.now();
    const token = format.mint();
    const row = {
      id: token.id,
      version: 1,
      userRef: null,
      createdAt: now,
      updatedAt: now,
      absoluteExpiresAt: now + 1e9,
      expiresAt: now + 1e9,
    };
    const plaintext = encodeRuby(
      new Map<unknown, unknown>([["user_id", 1], [7, "of user 1"], ["__proto__", "theirs"], ...more]),
    );
    await store.insert([{ ...row, data: format.seal(plaintext, row, token), client: null }]);
    return `_my_app_session=${token.text}`;
  }

  async function after(cookie: string, act: Act): Promise<unknown> {
    const session = await sessions.load(cookie);
    await act(session);
    const next = cookieOf(await sessions.commit(session));
    const [row] = await store.read([format.read(next.slice(next.indexOf("=") + 1))!.id]);
    return decodeRuby(format.open(row!, null));
  }

  test("after a login as another user, or a reset → nothing of the old row", async () => {
    assert.deepEqual(
      await after(await plant(), (session) => {
        session.login("2");
        session.data["user_id"] = 2;
      }),
      { user_id: 2 },
    );
    assert.deepEqual(
      await after(await plant(), (session) => {
        void session.data;
        session.reset();
        session.data["a"] = 1;
      }),
      { a: 1 },
    );
  });

  test("the new session has a flash → kept, whatever flash the old one had", async () => {
    const pending: [unknown, unknown] = ["flash", { discard: [], flashes: { notice: "old" } }];
    for (const more of [[], [pending]]) {
      const stored = await after(await plant(...more), (session) => {
        void session.user;
        session.reset();
        railsFlash(session.data).notice = "Signed out";
      });
      assert.deepEqual(stored, { flash: { discard: [], flashes: { notice: "Signed out" } } });
    }
  });

  test("a login that is not in the data → refused, also as the same user after a reset", async () => {
    await assert.rejects(
      async () =>
        after(await plant(), (session) => {
          void session.user;
          session.reset();
          session.login("1");
          session.data["z"] = 1;
        }),
      ValueError,
    );
  });
});
