// One of several processes: logs one user in many times at once, when it is told, and answers how many logins succeeded.
import { createSessionManager, TooManySessionsError } from "../../src/index.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { testKeys } from "./doubles.ts";

const [, , kind, place, table, onLimit, user, logins] = process.argv as unknown as string[];
const store =
  kind === "sqlite"
    ? sqliteStore(place!)
    : kind === "postgres"
      ? postgresStore(place!, { table: table!, poolSize: 4 })
      : mysqlStore(place!, { table: table!, poolSize: 4 });
const sessions = createSessionManager({
  store,
  keys: testKeys,
  storeTimeout: "1 min",
  maxSessions: { count: 3, onLimit: onLimit as "endOldest" | "refuse" },
});
await sessions.count();
process.send!("ready");
process.once("message", async () => {
  const results = await Promise.allSettled(
    Array.from({ length: Number(logins) }, async () => {
      const session = await sessions.load(null);
      session.login(user!);
      await sessions.commit(session);
    }),
  );
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  const others = failures.filter((error) => !(error instanceof TooManySessionsError)).map(String);
  await sessions.close();
  process.send!({ succeeded: results.length - failures.length, others });
  process.disconnect();
});
