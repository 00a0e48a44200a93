// One of two processes on one SQLite file: does what it is told, and answers.
import { createSessionManager } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { testKeys } from "./doubles.ts";

export type Task =
  | { kind: "keys"; cookie: string; from: number; count: number }
  | { kind: "count"; cookie: string; times: number }
  | {
      kind: "save" | "touch" | "destroy" | "regenerate" | "login" | "revoke" | "expire";
      cookie: string;
      at: number;
    }
  | { kind: "close" };

export type Answer = { setCookie: string | null } | { error: string };

const [, , file, driver] = process.argv;
let now = 1_700_000_000_000;
const sessions = createSessionManager<Record<string, unknown>>({
  store: sqliteStore(file!, { driver: driver as "node:sqlite" }),
  keys: testKeys,
  audit: process.env["TEST_TRAIL_ON"] !== undefined,
  clock: () => now,
});
const rolling = createSessionManager<Record<string, unknown>>({
  store: sqliteStore(file!, { driver: driver as "node:sqlite" }),
  keys: testKeys,
  audit: process.env["TEST_TRAIL_ON"] !== undefined,
  clock: () => now,
  touchEvery: 0,
  cookie: { rolling: true },
});

async function work(task: Exclude<Task, { kind: "close" }>): Promise<string | null> {
  switch (task.kind) {
    case "keys":
      await Promise.all(
        Array.from({ length: task.count }, async (_, i) => {
          const session = await sessions.load(task.cookie);
          session.data[`key${task.from + i}`] = task.from + i;
          await sessions.commit(session);
        }),
      );
      return null;
    case "count":
      for (let i = 0; i < task.times; i++) {
        const session = await sessions.load(task.cookie);
        await sessions.update(session, (data) => {
          data["count"] = (data["count"] as number) + 1;
        });
      }
      return null;
  }
  now = task.at;
  const session = await rolling.load(task.cookie);
  if (session.isNew && (task.kind === "save" || task.kind === "touch")) return null; // it ended before this began
  switch (task.kind) {
    case "save":
      session.data["late"] = true;
      break;
    case "touch":
      break;
    case "destroy":
      session.destroy();
      break;
    case "regenerate":
      session.regenerate();
      break;
    case "login":
      session.login("42");
      break;
    case "revoke":
      await rolling.forUser("1").revokeAll();
      return null;
    case "expire":
      await rolling.expire();
      return null;
  }
  return rolling.commit(session);
}

process.on("message", async (task: Task) => {
  if (task.kind === "close") {
    await Promise.all([sessions.close(), rolling.close()]);
    process.disconnect();
    return;
  }
  work(task).then(
    (setCookie) => process.send?.({ setCookie } satisfies Answer),
    (error: Error) => process.send?.({ error: `${error.name}: ${error.message}` } satisfies Answer),
  );
});
process.send!("ready");
