import { integerFrom, isAnything, isText, problemsOf } from "../shared/option-checks.ts";
import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { afterChanges } from "../store/partial-failure.ts";
import { LimitError, OptionsError, ValueError } from "../errors.ts";
import { KeyRing } from "../sealing/keyring.ts";
import type { SessionFormat } from "../session/format.ts";
import { importedVersion, refreshImported, type ImportedSession } from "../session/imported.ts";
import { idleEnd, isFromFuture } from "../session/lifetime.ts";
import { settingsOf, type SessionManager } from "../manager.ts";
import { nativeFormat } from "../session/native-format.ts";
import { rowIdOf, type Token } from "../session/token.ts";
import type { SessionRow } from "../store/row.ts";
import { fractionOf } from "../store/progress.ts";
import type { SessionStore } from "../store/contract.ts";
import { plainValue } from "./plain.ts";
import { railsRows, type RailsRow } from "./rows.ts";
import { assertImportOptions, type ImportOptions, type ImportResult } from "./import-options.ts";
import { isPublicId } from "./session-id.ts";

export interface AfterRailsOptions {
  /** As for `createSessionManager`. */
  readonly keys: string | readonly string[] | KeyRing;
  readonly app?: string;
  readonly compressAbove?: number | false;
  readonly maxBytes?: number;
}

/**
 * The native format for an application whose sessions were imported from a Rails table ({@link importRailsSessions}).
 * Also accepts cookies that Rails set, finds the sessions imported for them, and sends a native cookie with the first
 * possible response. New sessions are native from the start. After the absolute timeout has passed since the import, no
 * Rails cookie is valid anymore, and plain `keys` can replace it.
 * @throws {OptionsError} {@link KeyRingError}
 */
export function afterRailsFormat(options: AfterRailsOptions): SessionFormat {
  const problems = problemsOf(options, {
    keys: isAnything, // by the key ring
    app: isText,
    compressAbove: (value) => (value === false ? null : integerFrom(0)(value)),
    maxBytes: integerFrom(1),
  });
  if (problems.length > 0) throw new OptionsError(problems.map((problem) => `afterRailsFormat: ${problem}`));
  const { app = "", compressAbove = 1024, maxBytes = 1_048_576 } = options;
  const keys = options.keys instanceof KeyRing ? options.keys : KeyRing.from(options.keys as string);
  // Not "cookie": the id that an imported session would be sealed to is in the Rails table and its backups.
  const native = nativeFormat({ keys, app, sealTo: "keys", compressAbove, maxBytes });
  return {
    ...native,
    read: (value) => native.read(value) ?? (isPublicId(value) ? new ImportedToken(value) : null),
  };
}

/** An imported session, found by its Rails cookie. Marked stale, so that a native cookie follows. */
class ImportedToken implements Token {
  readonly #publicId: string;
  readonly #sid: Uint8Array;
  readonly id: Uint8Array;
  readonly stale = true;

  constructor(publicId: string) {
    this.#publicId = publicId;
    this.#sid = createHash("sha256").update(publicId).digest();
    this.id = rowIdOf(this.#sid);
  }

  get text(): string {
    return this.#publicId;
  }

  get sid(): Uint8Array {
    return this.#sid;
  }

  toJSON(): { id: string; stale: boolean } {
    return { id: Buffer.from(this.id).toString("hex"), stale: true };
  }

  [inspect.custom](): string {
    return `ImportedToken { id: ${Buffer.from(this.id).toString("hex")} }`;
  }
}

/** A Rails session as a first import writes it, and what a refresh needs. */
interface Native extends Pick<ImportedSession, "token" | "plaintext"> {
  readonly row: SessionRow;
}

/** Keys that only Rails uses. */
const OF_RAILS = new Set(["_csrf_token", "flash"]);
const SID = /^2::([0-9a-f]{64})$/;

/**
 * The last step of a migration: reads the Rails table without changing it, and writes native sessions with the same
 * user, data and times. Users stay logged in if the native manager uses {@link afterRailsFormat} and the cookie name of
 * Rails. Can be repeated at any time: the store records which sessions were imported (`<table>_imports`), and never
 * restores one that has ended since.
 * @param from railsStore, and railsFormat with its `userOf`
 * @param sessions a native manager whose tables are migrated
 * @throws {OptionsError} the manager's store cannot record imports (`SessionStore.takeOver`)
 */
export async function importRailsSessions(
  from: { readonly store: SessionStore; readonly format: SessionFormat },
  sessions: SessionManager<any>,
  options: ImportOptions = {},
): Promise<ImportResult> {
  assertImportOptions(options);
  const {
    dataOf = plainData,
    onRefused,
    after,
    batchSize = 200,
    dryRun = false,
    refresh = false,
    signal,
    onProgress,
  } = options;
  const settings = settingsOf(sessions as SessionManager<never>);
  const { format, store } = settings;
  if (store.takeOver === undefined) {
    throw new OptionsError([
      "importRailsSessions: the store of `sessions` has no `takeOver`, so a repeated import could not tell which sessions have ended since. Import into sqliteStore, postgresStore or mysqlStore.",
    ]);
  }
  const counts = {
    imported: 0,
    withUser: 0,
    before: 0,
    present: 0,
    ended: 0,
    refused: 0,
    refreshed: 0,
    endedSince: 0,
    changedSince: 0,
  };
  let read = 0;
  let waiting: Native[] = [];
  const write = async (): Promise<void> => {
    const rows = waiting;
    waiting = [];
    if (rows.length === 0) return;
    const answers = await store.takeOver!(
      rows.map(({ row }) => row),
      { dryRun },
    );
    const before: Native[] = [];
    for (const [index, answer] of answers.entries()) {
      const native = rows[index]!;
      if (answer === "before" && refresh) before.push(native);
      else counts[answer]++;
      if (answer === "imported" && native.row.userRef !== null) counts.withUser++;
    }
    const known = before.map(({ row: { id, userRef, expiresAt, updatedAt }, token, plaintext }) => ({
      id,
      userRef,
      expiresAt,
      token,
      plaintext,
      usedAt: updatedAt,
    }));
    const refreshing = { ...settings, findsUsers: from.format.userOf !== undefined };
    for (const answer of await refreshImported(refreshing, known, dryRun))
      counts[answer === "unchanged" ? "before" : answer]++;
  };

  try {
    for await (const row of railsRows(from.store, from.format, {
      batchSize,
      ...(after !== undefined && { after }),
    })) {
      read++;
      const native = nativeRow(row);
      if (native !== null) waiting.push(native);
      if (read % batchSize !== 0) continue;
      await write();
      onProgress?.({ read, fraction: fractionOf(new TextEncoder().encode(row.sid)), counts: { ...counts } });
      // node:sqlite is synchronous; without a pause, signals would not be handled until the end.
      await turn();
      if (signal?.aborted) break;
    }
    await write();
  } catch (error) {
    throw afterChanges(error, dryRun ? 0 : counts.imported, "imported");
  }
  return counts;

  function nativeRow(row: RailsRow): Native | null {
    const hash = SID.exec(row.sid)?.[1];
    if (row.data === null) {
      counts.refused++;
      onRefused?.(row, row.refusal);
      return null;
    }
    const [createdAt, updatedAt] = [row.createdAt.getTime(), row.updatedAt.getTime()];
    const absoluteExpiresAt = createdAt + settings.absoluteTimeout;
    const expiresAt = idleEnd({ absoluteExpiresAt }, settings, updatedAt);
    const isEmpty = Object.keys(row.data).length === 0;
    if (
      hash === undefined ||
      isEmpty ||
      settings.clock() >= expiresAt ||
      updatedAt > expiresAt ||
      isFromFuture({ createdAt }, settings.clock())
    ) {
      counts.ended++;
      return null;
    }
    const sid = Buffer.from(hash, "hex");
    const id = rowIdOf(sid);
    const { user } = row;
    try {
      const bare = {
        id,
        version: importedVersion(id),
        userRef: format.userRef(user),
        createdAt,
        updatedAt,
        absoluteExpiresAt,
        expiresAt,
      };
      const plaintext = format.encode({ data: dataOf({ ...row.data }), user, flash: {} }, null);
      const token: Token = { text: "", sid, id, stale: true };
      return { row: { ...bare, data: format.seal(plaintext, bare, token), client: null }, token, plaintext };
    } catch (error) {
      if (!(error instanceof ValueError || error instanceof LimitError)) throw error;
      counts.refused++;
      onRefused?.(row, error);
      return null;
    }
  }
}

function plainData(data: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(data).filter(([name]) => !OF_RAILS.has(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, plainValue(value)]));
}
