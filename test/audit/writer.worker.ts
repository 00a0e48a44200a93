/**
 * A process that logs users in and out and revokes sessions, with a trail, until it is killed or told to stop. Prints a line for
 * each operation once it is acknowledged.
 */
import { setTimeout as pause } from "node:timers/promises";
import { StoreError } from "../../src/errors.ts";
import { createSessionManager } from "../../src/manager.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";

export interface WorkerOptions {
  readonly kind: "sqlite" | "postgres" | "mysql" | "mariadb";
  /** A URL, or the path of a file. */
  readonly where: string;
  readonly table: string;
  readonly keys: string;
  readonly name: string;
  /** Further events for each login, for a trail that grows fast. */
  readonly further: number;
  /** Operations after which it stops by itself. */
  readonly most: number;
}

const options = JSON.parse(process.argv[2]!) as WorkerOptions;
const { kind, where, table } = options;
const store =
  kind === "sqlite"
    ? sqliteStore(where, { table })
    : (kind === "postgres" ? postgresStore : mysqlStore)(where, { table, poolSize: 4 });
const sessions = createSessionManager({
  store,
  keys: options.keys,
  cookie: { secure: false },
  // Many processes wait for one file on a busy machine.
  storeTimeout: "1 min",
  audit: { checkpointEvery: 300 },
});

let stopping = false;
let done = 0;
process.on("SIGTERM", () => (stopping = true));
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function visitor(number: number): Promise<void> {
  for (let round = 0; !stopping && done < options.most; round++) {
    try {
      await visit(number, round);
    } catch (error) {
      // The connections broke: what was not acknowledged may have happened or not.
      if (!(error instanceof StoreError) || kind === "sqlite") throw error;
      await pause(50);
    }
  }
}

async function visit(number: number, round: number): Promise<void> {
  const user = `${options.name} ${number} ${round % 5}`;
  const session = await sessions.load(null, {
    address: "192.0.2.1",
    userAgent: "Mozilla/5.0 (X11; Linux)",
  });
  session.login(user, { method: "password" });
  const cookie = (await sessions.commit(session))!.split(";")[0]!;
  say(`login ${session.handle}`);
  for (let at = 0; at < options.further; at++)
    await sessions.audit.record("login.failed", { user, reason: "wrong password" });
  done++;
  const way = Math.random();
  if (way < 0.3) {
    const again = await sessions.load(cookie);
    again.destroy();
    await sessions.commit(again);
    say(`end ${session.handle}`);
  } else if (way < 0.5) {
    await sessions.forUser(user).revoke(session.handle, { by: "test" });
    say(`end ${session.handle}`);
  } else if (way < 0.6) {
    const again = await sessions.load(cookie);
    again.regenerate();
    await sessions.commit(again);
    say(`rotate ${session.handle} ${again.handle}`);
  }
}

say("ready");
await Promise.all(Array.from({ length: 6 }, (_, number) => visitor(number)));
await sessions.close();
say("stopped");
