import { LimitError, ValueError } from "../../errors.ts";
import type { SessionRow } from "../../store/row.ts";
import type { Records } from "../../session/records.ts";
import { importedVersion, refreshImported, type ImportedSession } from "../../session/imported.ts";
import { rowIdOf } from "../../session/token.ts";
import { handleOf } from "../../session/handle.ts";
import type { SessionStore } from "../../store/contract.ts";
import { exitCodes, Failure, orReport } from "../failure.ts";
import type { SourceReader, SourceRow } from "./reader.ts";
import type { LeftOutFile } from "./left-out.ts";
import { note, noteRefreshed, type Skipped, type SkipReason, type Tally } from "./tally.ts";

export interface ImportOptions {
  readonly records: Records;
  readonly store: SessionStore;
  /** Where in the session its user's id is: "passport.user", or null. */
  readonly userPath: readonly string[] | null;
  readonly dryRun: boolean;
  /** Whether sessions that were imported before are written again where they changed. */
  readonly refresh: boolean;
  readonly file: LeftOutFile | null;
  readonly reader: Pick<SourceReader, "find" | "namesUsers" | "dataOf">;
}

/** A session of the other table, sealed as a first import writes it, and what a refresh needs. */
interface Candidate extends Pick<ImportedSession, "token" | "plaintext"> {
  readonly row: SessionRow;
}

/** Takes a page of another table over, and counts what became of its rows. */
export async function writeRows(
  options: ImportOptions,
  page: readonly SourceRow[],
  tally: Tally,
): Promise<void> {
  const { store, dryRun, refresh, file, reader } = options;
  if (store.takeOver === undefined) {
    throw new Failure(
      "Sessions cannot be imported into this store: it does not record what was imported, so another run would restore sessions that have ended. Import into the tables of sqliteStore, postgresStore or mysqlStore.",
      exitCodes.usage,
    );
  }
  // A table without a unique id may have one twice; the first is taken, as a look-up would take it.
  const rows = new Map<string, Candidate>();
  const skipped: [Skipped, string | null][] = [];
  let twice = 0;
  for (const sourceRow of page) {
    const row = rowFor(options, sourceRow);
    if ("reason" in row) skipped.push([row, reader.find(sourceRow)]);
    else if (rows.has(handleOf(row.row.id))) twice++;
    else rows.set(handleOf(row.row.id), row);
  }
  const fresh = [...rows.values()];
  const answers = await orReport(
    () =>
      store.takeOver!(
        fresh.map(({ row }) => row),
        { dryRun },
      ),
    (taken) => {
      tally.read += taken;
      tally.imported += taken;
    },
  );
  // Not before: where it fails, no more is known of the page.
  tally.read += page.length;
  tally.skipped.thereAlready += twice;
  for (const [one, find] of skipped) note(tally, one, file, find);
  const before: Candidate[] = [];
  for (const [index, answer] of answers.entries()) {
    if (answer === "before") before.push(fresh[index]!);
    else if (answer === "present") tally.skipped.thereAlready++;
    else {
      tally.imported++;
      if (fresh[index]!.row.userRef !== null) tally.withUser++;
    }
  }
  if (!refresh) tally.skipped.importedBefore += before.length;
  else await refreshRows(options, before, tally);
}

async function refreshRows(
  { records, store, userPath, dryRun, reader }: ImportOptions,
  candidates: readonly Candidate[],
  tally: Tally,
): Promise<void> {
  const settings = {
    ...records.settings,
    store,
    findsUsers: userPath !== null || reader.namesUsers === true,
  };
  const sessions = candidates.map(({ row: { id, userRef, expiresAt }, token, plaintext }) => ({
    id,
    userRef,
    expiresAt,
    token,
    plaintext,
    usedAt: null,
  }));
  for (const answer of await refreshImported(settings, sessions, dryRun)) {
    noteRefreshed(tally, answer);
  }
}

/**
 * The row that a drop-in store reads for this session id (docs/formats.md): row id `SHA-256(L("id") ‖ id)`, its data the
 * session as JSON, or what the reader makes of it.
 */
function rowFor({ records, userPath, reader }: ImportOptions, sourceRow: SourceRow): Candidate | Skipped {
  const { settings } = records;
  const { format } = settings;
  const sid = Buffer.from(sourceRow.sid, "utf8");
  const id = rowIdOf(sid);
  const skip = (reason: SkipReason, detail: string | null = null): Skipped => ({
    handle: handleOf(id),
    reason,
    detail,
  });
  if (sourceRow.unreadable !== undefined) return skip("unreadable", sourceRow.unreadable);
  const now = records.now();
  let data: unknown;
  try {
    data = JSON.parse(sourceRow.text);
  } catch {
    return skip("unreadable", "not JSON");
  }
  if (typeof data !== "object" || data === null || Array.isArray(data))
    return skip("unreadable", "not an object");
  if (Number.isNaN(sourceRow.expiresAt)) return skip("unreadable", "no time of expiry");
  if (sourceRow.expiresAt <= now) return skip("ended");

  const user = sourceRow.user ?? userIn(data, userPath);
  const absoluteExpiresAt = now + settings.absoluteTimeout;
  const row = {
    id,
    version: importedVersion(id),
    userRef: format.userRef(user),
    createdAt: now,
    updatedAt: now,
    absoluteExpiresAt,
    // What was promised before is kept, and nothing lives longer than the limits of today.
    expiresAt: Math.min(Math.floor(sourceRow.expiresAt), now + settings.idleTimeout, absoluteExpiresAt),
  };
  try {
    const session = data as Record<string, unknown>;
    const content = reader.dataOf?.(sourceRow, session) ?? asDropIn(session);
    const plaintext = format.encode({ data: content, user, flash: {} }, null);
    const token = { text: "", sid, id, stale: false };
    return { row: { ...row, data: format.seal(plaintext, row, token), client: null }, token, plaintext };
  } catch (error) {
    if (error instanceof ValueError || error instanceof LimitError) return skip("notStorable", error.message);
    throw error;
  }
}

/** As the drop-in stores a session: of its cookie's expiry only that there is one, because the row has the time. */
function asDropIn(data: object): Record<string, unknown> {
  const { cookie, ...rest } = data as { cookie?: unknown };
  if (typeof cookie !== "object" || cookie === null) return rest;
  const { expires, _expires, ...attributes } = cookie as { expires?: unknown; _expires?: unknown };
  const ends = (expires ?? _expires ?? null) !== null;
  return { ...rest, cookie: { ...attributes, ...(ends && { expires: true }) } };
}

/** The user that a session's text names at this path. */
export function userOfText(text: string, path: readonly string[]): string | undefined {
  try {
    const data: unknown = JSON.parse(text);
    return typeof data === "object" && data !== null ? userIn(data, path) : undefined;
  } catch {
    return undefined;
  }
}

function userIn(data: object, path: readonly string[] | null): string | undefined {
  if (path === null) return undefined;
  let value: unknown = data;
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}
