import { hash } from "../sealing/hash.ts";
import { randomVersion } from "../sealing/random.ts";
import { OptionsError, RefusedError } from "../errors.ts";
import type { SessionStore } from "../store/contract.ts";
import type { SessionRow } from "../store/row.ts";
import type { SessionFormat } from "./format.ts";
import { endOf } from "./lifetime.ts";
import type { Token } from "./token.ts";

/** Values of the random part of an imported row's version. */
const DRAWS = 2 ** 13;

/**
 * The version of a row as an import writes it: 40 bits of a hash of the id, then 13 random bits. Every other write of the
 * row draws a random version, so the version shows whether the row is still as the import wrote it (decisions/0025).
 * @param loaded the version that is replaced, so that a write based on it is refused
 */
export function importedVersion(id: Uint8Array, loaded?: number): number {
  for (;;) {
    const version = markOf(id) * DRAWS + (randomVersion() % DRAWS);
    if (version !== loaded) return version;
  }
}

/** Whether nothing but an import has written this row. Touches leave the version alone. */
export function isAsImported({ id, version }: Pick<SessionRow, "id" | "version">): boolean {
  return Math.floor(version / DRAWS) === markOf(id);
}

function markOf(id: Uint8Array): number {
  const label = new TextEncoder().encode("stored-session imported row");
  return hash("sha256", Buffer.concat([label, id]), "buffer").readUIntBE(0, 5);
}

/** A session as the other table has it now. */
export interface ImportedSession {
  readonly id: Uint8Array;
  readonly token: Token;
  readonly plaintext: Uint8Array;
  readonly userRef: Uint8Array | null;
  /** By the limits of this configuration, counted from `usedAt` or now. */
  readonly expiresAt: number;
  /** The last use, if the other table records it. */
  readonly usedAt: number | null;
}

/** The result of {@link refreshImported} for one session. */
export type Refreshed =
  /** the row was written */
  | "refreshed"
  /** the row has this content already */
  | "unchanged"
  /** the session has ended since it was imported, and stays ended */
  | "endedSince"
  /** the application has written the session since it was imported, and its changes stay */
  | "changedSince";

/** What a refresh needs of a manager's settings. */
export interface RefreshSettings {
  readonly store: SessionStore;
  readonly format: SessionFormat;
  readonly clock: () => number;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  /** False where no user is looked for, so that a session without one says nothing. */
  readonly findsUsers: boolean;
}

/** Rows read and written at once. */
const BATCH = 100;

/**
 * Writes sessions that were imported before once more, where they changed in the table they come from. Conditional on the
 * row's version: a session that ends or is saved meanwhile wins. A session that was used in the other table since ends
 * later; none ends earlier.
 * @throws {OptionsError} it would remove users
 * @throws {StoreError}
 */
export async function refreshImported(
  settings: RefreshSettings,
  sessions: readonly ImportedSession[],
  dryRun: boolean,
): Promise<Refreshed[]> {
  const { store } = settings;
  const answers: Refreshed[] = [];
  for (let at = 0; at < sessions.length; at += BATCH) {
    const batch = sessions.slice(at, at + BATCH);
    const rows = await store.read(batch.map(({ id }) => id));
    const judged = batch.map((session, index) => judge(settings, session, rows[index] ?? null));
    const updates = judged.filter((one) => typeof one !== "string");
    const written = dryRun ? updates.map(() => true) : await store.update(updates);
    // A row that was not written has changed or ended since it was read.
    const lost = updates.filter((_, index) => !written[index]).map(({ loaded }) => loaded.id);
    const left = lost.length === 0 ? [] : await store.read(lost);
    for (const one of judged) {
      if (typeof one === "string") answers.push(one);
      else if (!lost.includes(one.loaded.id)) answers.push("refreshed");
      else answers.push(left[lost.indexOf(one.loaded.id)] ? "changedSince" : "endedSince");
    }
  }
  return answers;
}

function judge(
  settings: RefreshSettings,
  session: ImportedSession,
  loaded: SessionRow | null,
): Exclude<Refreshed, "refreshed"> | { loaded: SessionRow; next: SessionRow } {
  const { format } = settings;
  const now = settings.clock();
  if (loaded === null || now >= endOf(loaded, settings)) return "endedSince";
  if (!isAsImported(loaded)) return "changedSince";
  const { token, plaintext, userRef } = session;
  const isUsed = wasUsedSince(session, loaded, settings);
  try {
    const isSame =
      Buffer.compare(format.open(loaded, token), plaintext) === 0 &&
      Buffer.compare(loaded.userRef ?? noUser, userRef ?? noUser) === 0;
    if (isSame && !isUsed) return "unchanged";
  } catch (error) {
    // Edited, or under a key that is not in the ring.
    if (!(error instanceof RefusedError)) throw error;
    return "changedSince";
  }
  if (!settings.findsUsers && loaded.userRef !== null) {
    throw new OptionsError([
      "A session was imported with a user, and this refresh would remove that user, because it does not know where users are stored. Pass --user-path (--user-key for stored_session), or `userOf` in the configuration.",
    ]);
  }
  const { data: _, ...row } = loaded;
  const bare = {
    ...row,
    version: importedVersion(loaded.id, loaded.version),
    userRef,
    ...(isUsed && {
      updatedAt: session.usedAt ?? now,
      expiresAt: Math.min(session.expiresAt, loaded.absoluteExpiresAt),
    }),
  };
  return { loaded, next: { ...bare, data: format.seal(plaintext, bare, token) } };
}

/**
 * Whether the other table shows a use that the row does not have. A table that keeps only an end shows it where that end,
 * and not a limit of ours, was the row's.
 */
function wasUsedSince(
  session: ImportedSession,
  loaded: SessionRow,
  { idleTimeout }: RefreshSettings,
): boolean {
  if (session.usedAt !== null) return session.usedAt > loaded.updatedAt;
  const limit = Math.min(loaded.updatedAt + idleTimeout, loaded.absoluteExpiresAt);
  return loaded.expiresAt < limit && session.expiresAt > loaded.expiresAt;
}

const noUser = new Uint8Array(0);
