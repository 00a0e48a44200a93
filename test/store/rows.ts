import { randomBytes } from "node:crypto";
import type { SessionRow } from "../../src/store/row.ts";

export const DAY = 86_400_000;
export const NOW: number = Date.UTC(2026, 0, 1);

/** A row with random bytes. */
export function randomRow(columns: Partial<SessionRow> = {}): SessionRow {
  return {
    id: new Uint8Array(randomBytes(32)),
    data: new Uint8Array(randomBytes(354)),
    version: 1,
    userRef: null,
    createdAt: NOW,
    updatedAt: NOW,
    absoluteExpiresAt: NOW + 30 * DAY,
    expiresAt: NOW + DAY,
    client: null,
    ...columns,
  };
}
