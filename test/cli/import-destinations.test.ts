/** `import session-file-store` and `import ndjson` into each database: imported once, refreshed, and never back. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterEach, beforeEach, describe, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { generateKey } from "../../src/index.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { Folder } from "./command.ts";

// They come without types.
const require = createRequire(import.meta.url);
const FileStore = require("session-file-store")(require("express-session"));

let folder: Folder;
let created: CreatedStore | null = null;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
});
afterEach(async () => {
  await created?.drop();
  created = null;
  folder.remove();
});

interface Old {
  readonly args: readonly string[];
  /** Writes these sessions of the old store. */
  write(sessions: Readonly<Record<string, { user: string; cart: string[] }>>): Promise<void>;
}

const hour = 3_600_000;
const session = (user: string, cart: string[]) => ({
  cookie: { originalMaxAge: hour, path: "/" },
  passport: { user },
  cart,
});

const libraries: Record<string, () => Old> = {
  "session-file-store": () => {
    const old = new FileStore({ path: folder.file("old"), reapInterval: -1, retries: 0, logFn() {} });
    return {
      args: ["--from", "old"],
      async write(sessions) {
        for (const [sid, { user, cart }] of Object.entries(sessions))
          await new Promise((resolve) => old.set(sid, session(user, cart), resolve));
      },
    };
  },
  ndjson: () => ({
    args: ["--from", "sessions.ndjson"],
    async write(sessions) {
      const expires = new Date(Date.now() + hour).toISOString();
      const lines = Object.entries(sessions).map(([id, { user, cart }]) =>
        JSON.stringify({ id, expires, data: session(user, cart) }),
      );
      writeFileSync(folder.file("sessions.ndjson"), `${lines.join("\n")}\n`);
    },
  }),
};

for (const database of databases.filter(({ name }) => name !== "better-sqlite3")) {
  describe(database.name, () => {
    test.each(Object.keys(libraries))(
      "promise 3: import %s → read by the drop-in, refreshed, and what ended stays ended",
      async (name) => {
        created = await database.createStore();
        await created.store.migrate();
        const into =
          database.url === null
            ? ["-d", `sqlite:${String((created.store as any).database.file)}`]
            : ["-d", database.url, "--table", created.table];
        const old = libraries[name]!();
        await old.write({
          "anna-0123456789": { user: "anna", cart: ["tea"] },
          "bert-0123456789": { user: "bert", cart: ["Tee für zwei"] },
          "cleo-0123456789": { user: "cleo", cart: [] },
        });
        const args = ["import", name, ...old.args, ...into, "--user-path", "passport.user"];
        assert.equal((await folder.json(...args, "--dry-run")).imported, 3);
        assert.equal((await folder.json("count", ...into)).live, 0);
        const first = await folder.json(...args, "--batch-size", "2");
        assert.deepEqual([first.imported, first.withUser, first.finished], [3, 3, true]);

        const store = new StoredSessionStore({
          store: created.store,
          keys: folder.env["STORED_SESSION_KEYS"]!,
          userOf: (data) => (data["passport"] as { user?: string } | undefined)?.user,
        });
        const cartOf = async (sid: string) => (await (store.get as any)(sid))?.cart ?? null;
        assert.deepEqual(await cartOf("bert-0123456789"), ["Tee für zwei"]);
        assert.equal(await store.sessions.forUser("anna").revokeAll(), 1);

        await old.write({
          "bert-0123456789": { user: "bert", cart: ["mate"] },
          ...(name === "ndjson" && { "anna-0123456789": { user: "anna", cart: ["mate"] } }),
        });
        const { imported, refreshed, skipped } = await folder.json(...args, "--refresh");
        assert.deepEqual([imported, skipped.endedSince], [0, 1]);
        assert.ok(refreshed >= 1);
        assert.deepEqual(await cartOf("bert-0123456789"), ["mate"]);
        assert.equal(await cartOf("anna-0123456789"), null);
        assert.equal((await store.sessions.forUser("bert").list()).length, 1);
      },
    );
  });
}
