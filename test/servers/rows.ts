import { randomBytes, randomInt } from "node:crypto";
import type { SessionRow } from "../../src/store/row.ts";

const NOW = Date.UTC(2026, 0, 1);
const DAY = 86_400_000;

export const newVersion = (): number => randomInt(2 ** 47);

/** A row as a manager would write it, of random bytes. */
export function randomRow(columns: Partial<SessionRow> = {}): SessionRow {
  return {
    id: new Uint8Array(randomBytes(32)),
    data: new Uint8Array(randomBytes(300)),
    version: newVersion(),
    userRef: null,
    createdAt: NOW,
    updatedAt: NOW,
    absoluteExpiresAt: NOW + 30 * DAY,
    expiresAt: NOW + 10 * DAY,
    client: null,
    ...columns,
  };
}

export function randomRows(count: number): SessionRow[] {
  return Array.from({ length: count }, () => randomRow()).toSorted((a, b) => Buffer.compare(a.id, b.id));
}

export function nextRow(row: SessionRow): SessionRow {
  return { ...row, version: newVersion(), data: new Uint8Array(randomBytes(300)) };
}
