/** Rows for campaigns at size, made without a request for each. */
import { createHash, randomBytes } from "node:crypto";
import type { SessionManager } from "../../src/index.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { walk } from "../../src/session/walk.ts";
import { wholeRows } from "../../src/session/whole-rows.ts";
import { recordsOf } from "../../src/manager.ts";
import type { SessionStore } from "../../src/store/contract.ts";

const day = 86_400_000;
const text = "x".repeat(200);

/** A row that ended 5 to 30 days ago. */
export function deadRow(place: number): SessionRow {
  const createdAt = Date.now() - 60 * day + (place % 25) * day;
  return {
    id: randomBytes(32),
    data: randomBytes(300),
    version: place,
    userRef: place % 2 ? randomBytes(32) : null,
    createdAt,
    updatedAt: createdAt,
    absoluteExpiresAt: createdAt + 30 * day,
    expiresAt: createdAt + 30 * day,
    client: null,
  };
}

/** A row as the manager would save it, of a user of its own. */
export function liveRow(sessions: SessionManager<never>, place: number): SessionRow {
  const records = recordsOf(sessions);
  const { format } = records.settings;
  const user = String(place);
  const plaintext = format.encode({ data: { text }, user, flash: {} }, null);
  return records.begin(format.mint(), plaintext, user, { address: "192.0.2.1" });
}

export async function fill(
  store: SessionStore,
  count: number,
  make: (place: number) => SessionRow,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const first = next;
      next = Math.min(count, first + 100);
      await store.insert(Array.from({ length: next - first }, (_, index) => make(first + index)));
    }
  };
  await Promise.all([1, 2, 3, 4].map(lane));
}

/**
 * The ids of all rows in one hash, how many of the rows are of {@link liveRow} and whole, and how many do not open or
 * hold something else.
 */
export async function census(
  sessions: SessionManager<never>,
): Promise<{ rows: number; ids: string; whole: number; wrong: number }> {
  const records = recordsOf(sessions);
  const { format } = records.settings;
  const ids = createHash("sha256");
  let [rows, whole, wrong] = [0, 0, 0];
  for await (const row of wholeRows(records, walk(records))) {
    rows++;
    ids.update(row.id);
    try {
      const { data, user } = format.decode(format.open(row, null));
      if (user === undefined) continue; // a visitor's
      const found = row.userRef !== null && Buffer.compare(row.userRef, format.userRef(user)!) === 0;
      const client = row.client === null ? null : format.openClient(row)?.address;
      if (found && client === "192.0.2.1" && (data as { text?: string }).text === text) whole++;
      else wrong++;
    } catch {
      wrong++;
    }
  }
  return { rows, ids: ids.digest("hex"), whole, wrong };
}
