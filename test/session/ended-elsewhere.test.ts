import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { inject, test } from "vitest";
import { chosenDatabases } from "../servers/chosen.ts";
import { execute } from "../servers/execute.ts";
import { endElsewhere } from "./ended-elsewhere.ts";
import { openPlace, type Place } from "./place.ts";

for (const kind of chosenDatabases()) {
  // `node test/campaigns/ended-elsewhere.ts` ends 100,000.
  test(`promise 3, R44: ${kind}: 240 sessions end in another process between two requests → none is answered from the cache`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "stored-session-ended-"));
    const table = `ended_${randomBytes(4).toString("hex")}`;
    const place: Place =
      kind === "sqlite"
        ? { kind, at: join(folder, "sessions.sqlite3") }
        : { kind, at: inject("servers")[kind]!, table };
    const store = openPlace(place);
    try {
      await store.migrate();
      await endElsewhere(place, 240);
    } finally {
      await store.close();
      rmSync(folder, { recursive: true });
      if (kind !== "sqlite") {
        const tables = [table, `${table}_leases`, `${table}_migrations`].join(", ");
        await execute(place.at, kind, `DROP TABLE IF EXISTS ${tables}`);
      }
    }
  }, 60_000);
}
