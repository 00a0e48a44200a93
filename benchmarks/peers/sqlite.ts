import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { bare } from "./bare.ts";
import { load } from "./candidate.ts";
import type { Candidate, Setting } from "./candidate.ts";
import { expressStore } from "./express-store.ts";
import { ours } from "./ours.ts";

/** All in files of their own, since two SQLite libraries of one process must not share one. */
export async function sqliteCandidates({ folder, size }: Setting): Promise<Candidate[]> {
  const Better = await load("better-sqlite3");
  const BetterStore = (await load("better-sqlite3-session-store"))(await load("express-session"));
  const file = (name: string) => join(folder, `${name}.sqlite3`);
  /** Pages in use, as if the log were written back already. */
  const bytes = (name: string) => async () => {
    const database = new DatabaseSync(file(name));
    const value = (pragma: string) =>
      Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
    const used = (value("page_count") - value("freelist_count")) * value("page_size");
    database.close();
    return used;
  };
  const better = (name: string, path: string, pragmas: readonly string[]): Candidate => {
    const client = new Better(path);
    for (const pragma of pragmas) client.pragma(pragma);
    const pagesUsed = async () =>
      (client.pragma("page_count", { simple: true }) - client.pragma("freelist_count", { simple: true })) *
      client.pragma("page_size", { simple: true });
    return expressStore(new BetterStore({ client, expired: { clear: false } }), {
      name,
      pid: null,
      size,
      bytes: pagesUsed,
      close: async () => client.close(),
    });
  };
  const bareHandle = new DatabaseSync(file("bare"));
  bareHandle.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  bareHandle.exec("CREATE TABLE bare (id BLOB PRIMARY KEY, data TEXT NOT NULL, expires_at INTEGER NOT NULL)");
  const select = bareHandle.prepare("SELECT data, expires_at FROM bare WHERE id = ?");
  const insert = bareHandle.prepare("INSERT INTO bare (id, data, expires_at) VALUES (?, ?, ?)");
  const update = bareHandle.prepare("UPDATE bare SET data = ?, expires_at = ? WHERE id = ?");
  const touch = bareHandle.prepare("UPDATE bare SET expires_at = ? WHERE id = ?");

  return [
    await ours(sqliteStore(file("ours")), {
      name: "Stored Session (WAL, FULL)",
      pid: null,
      size,
      bytes: bytes("ours"),
    }),
    await ours(sqliteStore(file("ours-user")), {
      name: "Stored Session (WAL, FULL), logged in",
      pid: null,
      size,
      loggedIn: true,
      bytes: bytes("ours-user"),
    }),
    better("better-sqlite3-session-store as installed (DELETE, FULL)", file("better"), []),
    better("better-sqlite3-session-store (WAL, NORMAL)", file("better-wal"), [
      "journal_mode = WAL",
      "synchronous = NORMAL",
    ]),
    bare(
      {
        select: async (id) => select.get(id)?.["data"] as string,
        insert: async (id, data, expiresAt) => insert.run(id, data, expiresAt),
        update: async (id, data, expiresAt) => update.run(data, expiresAt, id),
        touch: async (id, expiresAt) => touch.run(expiresAt, id),
        bytes: bytes("bare"),
        close: async () => bareHandle.close(),
      },
      { name: "node:sqlite, prepared statement (WAL, FULL)", pid: null, size },
    ),
  ];
}
