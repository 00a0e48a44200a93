import { setImmediate as nextTurn } from "node:timers/promises";
import { afterChanges, allAnswered } from "../store/partial-failure.ts";
import { RefusedError } from "../errors.ts";
import { Pace, paceProblem } from "../jobs/pace.ts";
import { leaseChecks } from "../jobs/lease.ts";
import { assertOptions, isAnything, isFunction, isSignal, isText } from "../shared/option-checks.ts";
import type { ResealOptions, ResealResult } from "../jobs/reseal.ts";
import { randomVersion } from "../sealing/random.ts";
import type { RowInfo, SessionRow } from "../store/row.ts";
import { idPages } from "../store/pages.ts";
import { fractionOf } from "../store/progress.ts";
import { hasFormerUserRef, opensAlone } from "../session/format.ts";
import { handleOf, idOf } from "../session/handle.ts";
import { importedVersion, isAsImported } from "../session/imported.ts";
import { checkTimes } from "../session/lifetime.ts";
import type { Records } from "../session/records.ts";
import { publishRefusal } from "../session/refusal.ts";

/** A row that other requests keep changing is left for the next run: they seal it under their own newest key. */
const maxAttempts = 5;

/** Rows sealed in one turn of the event loop: each takes about 60 µs, which blocks requests. */
const perTurn = 10;

/** Rows of a step that does not rest. They wait in the queue of the store, where requests wait behind them. */
const longestStep = 500;

type Outcome = "resealed" | "current" | "waiting" | "contended" | "ended" | "refused";

/**
 * Reseals rows from older keys under the newest (promise 9, R27), in order of id, in bounded pages. Each write is
 * conditional on the row's version, so no concurrent save is lost, and the row's times stay. A touch between reading
 * and writing the same row, milliseconds apart unless `batchSize` is large, is undone: the idle timeout then counts
 * from the use before, until the next request touches the session again.
 * @throws {StoreError} the store failed; `changed` is the number of rows written before
 */
export async function resealRows(
  records: Records,
  options: ResealOptions = {},
  mayGoOn?: () => Promise<boolean>,
): Promise<ResealResult> {
  const { maxPerSecond = 1_000, batchSize = perTurn, share, after, signal, onProgress } = options;
  if (!(batchSize === Infinity || Number.isSafeInteger(batchSize)) || batchSize < 1) {
    throw new TypeError("reseal: `batchSize` must be a whole number, 1 or more.");
  }
  assertOptions("reseal", options, {
    ...leaseChecks,
    batchSize: isAnything,
    maxPerSecond: isAnything,
    share: isAnything,
    after: isText,
    signal: isSignal,
    onProgress: isFunction,
  });
  const problem = paceProblem(options);
  if (problem !== null) throw new TypeError(`reseal: ${problem}`);
  // Pages of at most a second of work, so that a pause does not outlast the lease.
  const limit = Math.min(batchSize, maxPerSecond, 10_000);
  const start = after === undefined ? null : idOf(after);
  if (after !== undefined && start === null) {
    throw new TypeError("reseal: `after` must be the handle that an earlier run stopped at.");
  }

  const counts = { scanned: 0, resealed: 0, current: 0, waiting: 0, contended: 0, ended: 0, refused: 0 };
  let cursor = start;
  const stand = (finished: boolean): ResealResult => ({
    ...counts,
    finished,
    fraction: finished ? 1 : fractionOf(cursor),
    cursor: finished || cursor === null ? null : handleOf(cursor),
  });

  // A run that rests works a few milliseconds at a time. One that does not is held up by each commit instead.
  const maxStep = share === 1 ? Math.min(limit, longestStep) : perTurn;
  const pace = new Pace({ ...options, maxPerSecond });
  let written = 0;
  const read = (from: Uint8Array | null, most: number) => records.store.scanInfo(from, most);
  const mayStep = async () => !signal?.aborted && (mayGoOn === undefined || (await mayGoOn()));
  try {
    if (!(await mayStep())) return stand(false);
    let began = performance.now();
    for await (const { rows, isLast: finished } of idPages(read, limit, cursor)) {
      for (let at = 0; at < rows.length; at += maxStep) {
        if (at > 0 && !(await mayStep())) return stand(false);
        const step = rows.slice(at, at + maxStep);
        const { values: done, failure } = await resealStep(records, step);
        const wrote = done.filter((row) => row.wrote).length;
        written += wrote;
        if (failure !== null) throw failure.error;
        for (const { outcome } of done) counts[outcome]++;
        counts.scanned += step.length;
        cursor = step.at(-1)!.id;
        if (finished && at + maxStep >= rows.length) break; // nothing waits behind the last page
        await pace.rest(wrote, performance.now() - began);
        began = performance.now();
      }
      onProgress?.(stand(finished));
      if (finished) break;
      if (!(await mayStep())) return stand(false);
      began = performance.now();
    }
    // Once all are under the newest key, the older ones can be retired.
    const engine = await records.recorder?.trail.engine();
    return stand(engine === undefined || (await engine.reseal(mayStep)));
  } catch (error) {
    throw afterChanges(error, written, "resealed");
  }
}

interface Done {
  readonly outcome: Outcome;
  readonly wrote?: boolean;
}

/** A row and what replaces it. */
interface Sealed {
  readonly row: SessionRow;
  readonly next: SessionRow;
}

/** Reads the rows together, seals a few in each turn of the event loop, and writes them together. */
async function resealStep(records: Records, step: readonly RowInfo[]): ReturnType<typeof allAnswered<Done>> {
  const rows = await allAnswered(step.map((info) => readRow(records, info)));
  if (rows.failure !== null) return { values: [], failure: rows.failure };
  const sealed: (Done | Sealed)[] = [];
  for (const [place, row] of rows.values.entries()) {
    if (place > 0 && place % perTurn === 0) await nextTurn();
    sealed.push("outcome" in row ? row : sealRow(records, row));
  }
  return allAnswered(sealed.map((one) => ("outcome" in one ? Promise.resolve(one) : writeRow(records, one))));
}

async function readRow(records: Records, info: RowInfo): Promise<Done | SessionRow> {
  const { format } = records.settings;
  if (records.now() >= info.expiresAt) return { outcome: "ended" };
  // If the first bytes show that a row is done already, its data is not read.
  const { head, client } = info;
  const sealed = { data: head, client };
  const namesFormer =
    format.formerUserRefs !== undefined && info.userRef !== null && opensAlone(format, sealed);
  if (format.sealedUnder !== undefined && format.isCurrent(sealed) && !namesFormer)
    return { outcome: "current" };
  return (await records.store.read(info.id)) ?? { outcome: "ended" };
}

function sealRow(records: Records, row: SessionRow): Done | Sealed {
  const { format } = records.settings;
  // Uses the stored expiry only: an application with longer timeouts may still open the row, and needs its key until
  // then.
  if (records.now() >= row.expiresAt) return { outcome: "ended" };
  const isCurrent = format.isCurrent(row);
  // If `app` is set, whether its user reference is current shows only after decryption.
  const mayBeFormer = format.formerUserRefs !== undefined && row.userRef !== null && opensAlone(format, row);
  if (isCurrent && !mayBeFormer) return { outcome: "current" };
  try {
    const next = sealAnew(records, row);
    if (next === "current") return { outcome: "current" };
    return next === null ? { outcome: "waiting" } : { row, next };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    if (isCurrent) return { outcome: "current" }; // another application's
    publishRefusal(row, error, records.settings);
    return { outcome: "refused" };
  }
}

async function writeRow(records: Records, sealed: Sealed): Promise<Done> {
  for (let attempt = 1; ; attempt++) {
    const { row, next } = sealed;
    if (await records.update(row, next, "reseal")) {
      return { outcome: opensAlone(records.settings.format, row) ? "resealed" : "waiting", wrote: true };
    }
    const changed = await records.store.read(row.id);
    if (changed === null) return { outcome: "ended" };
    const again = sealRow(records, changed);
    if ("outcome" in again) return again;
    if (attempt === maxAttempts) return { outcome: "contended" };
    sealed = again;
  }
}

/**
 * Returns the row under the newest key with unchanged times. Null if everything possible without its cookie is done.
 */
function sealAnew(records: Records, row: SessionRow): SessionRow | "current" | null {
  const { format } = records.settings;
  checkTimes(row);
  if (!opensAlone(format, row)) {
    const { client: sealedUnder } = format.sealedUnder?.(row) ?? {};
    if (row.client === null || sealedUnder === format.keyNames?.[0]) return null;
    const client = format.openClient(row);
    // The version stays: the seal that only the cookie opens is bound to it.
    return client === null ? null : { ...row, client: format.sealClient(client, row) };
  }
  const plaintext = format.open(row, null);
  const { user } = format.decode(plaintext);
  if (format.isCurrent(row) && !hasFormerUserRef(format, row, user)) return "current";
  const bare = {
    ...row,
    version: isAsImported(row) ? importedVersion(row.id, row.version) : randomVersion(),
    userRef: format.userRef(user),
  };
  const client = row.client === null ? null : format.openClient(row);
  return {
    ...bare,
    data: format.seal(plaintext, bare, null, row),
    links: format.linksOf?.(plaintext),
    client: client === null ? null : format.sealClient(client, bare),
  };
}
