// One of the processes of crash.ts: its callers, their ledger, and what they found wrong.
import type { ServerName } from "../../scripts/services/services.ts";
import { createSessionManager, type SessionStore } from "../../src/index.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { testKeys } from "../session/doubles.ts";
import { Callers, type CallersOptions, type Figures, type Sessions } from "./callers.ts";

export type Order =
  (Omit<CallersOptions, "managers"> & { readonly database: ServerName; readonly url: string }) | "finish";

export interface Report {
  readonly figures: Figures;
  readonly wrong: readonly string[];
  readonly census: { readonly live: number; readonly gone: number; readonly either: number };
  readonly counts: Record<string, { readonly least: number; readonly most: number }>;
}

export const storeTimeout = 5_000;

export function managerOf(database: ServerName, url: string): { manager: Sessions; store: SessionStore } {
  const store = (database === "postgres" ? postgresStore : mysqlStore)(url, { poolSize: 8 });
  return { store, manager: createSessionManager({ store, keys: testKeys, storeTimeout }) };
}

if (process.send) {
  let callers: Callers;
  let manager: Sessions;
  let shared: readonly string[] = [];
  process.on("message", async (order: Order) => {
    if (order !== "finish") {
      ({ manager } = managerOf(order.database, order.url));
      shared = order.shared ?? [];
      callers = new Callers({ ...order, managers: [manager], thinks: 20 });
      callers.start();
      return;
    }
    await callers.stop();
    const wrong = await callers.verify(manager);
    const counts = Object.fromEntries(shared.map((cookie) => [cookie, callers.counted(cookie)]));
    const report: Report = { figures: callers.figures, wrong, census: callers.census(), counts };
    await manager.close();
    process.send?.(report, () => process.disconnect());
  });
  // Its parent has ended, or died.
  process.on("disconnect", () => process.exit());
  process.send("ready");
}
