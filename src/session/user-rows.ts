import type { AuditContent } from "../audit/events.ts";
import { ConflictError, RefusedError } from "../errors.ts";
import { infoOfRow, type RowInfo, type SessionRow } from "../store/row.ts";
import { pagesOf } from "../store/pages.ts";
import { opensAlone, type SessionFormat } from "./format.ts";
import type { Records } from "./records.ts";
import { walk } from "./walk.ts";

/**
 * The owner of a row, as far as its seals show without its cookie. this: one of them opens, so it is this application's;
 * another: they are refused, so it is another application's or was edited; unknown: only the cookie opens it.
 */
export type Owner = "this" | "another" | "unknown";

export async function ownerOf(records: Records, info: RowInfo, whole?: SessionRow): Promise<Owner> {
  const { format } = records.settings;
  const opens = (open: () => unknown): boolean => {
    try {
      open();
      return true;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return false;
    }
  };
  const { head, client } = info;
  if (client !== null && opens(() => format.openClient(info))) return "this";
  if (!opensAlone(format, { data: head })) return client === null ? "unknown" : "another";
  const row = whole ?? (await records.store.read(info.id));
  return row !== null && opens(() => format.open(row, null)) ? "this" : "another";
}

/** More rows of one user than a single statement should return. */
const mostOfUser = 10_000;

/** Each pass takes two statements. Only a user whose logins never stop reaches this limit. */
const maxPasses = 100;

const warned: WeakSet<SessionFormat> = new WeakSet();

/**
 * The rows of one user of this application, found by user reference. Rows from before `app` was bound into references
 * have references that all applications share. Such a row counts only if it opens here (decision 21).
 */
export class UserRows {
  readonly #records: Records;
  readonly #refs: readonly Uint8Array[];
  readonly #former: readonly Uint8Array[];
  readonly #user: string;
  /** Who ends sessions, and why, for the audit trail. */
  readonly #by: AuditContent;

  constructor(records: Records, user: string, by: AuditContent = {}) {
    const { format } = records.settings;
    this.#user = user;
    this.#by = by;
    this.#records = records;
    this.#refs = format.userRefs(user);
    this.#former = format.formerUserRefs?.(user) ?? [];
  }

  /** At most `limit` rows, newest first, including ended ones. */
  async list(limit: number): Promise<RowInfo[]> {
    const { store } = this.#records;
    const rows = await store.listByUser([...this.#refs, ...this.#former], limit);
    if (rows.length < limit || this.#former.length === 0) return await this.#ours(rows);
    // Rows of other applications may have filled the page.
    const bound = await store.listByUser(this.#refs, limit);
    return newestFirst([...bound, ...(await this.#formerRows())]).slice(0, limit);
  }

  /** All rows. For a user with very many it scans the table. */
  async all(): Promise<RowInfo[]> {
    const refs = [...this.#refs, ...this.#former];
    const rows = await this.#records.store.listByUser(refs, mostOfUser + 1);
    return rows.length <= mostOfUser ? this.#ours(rows) : this.#search(refs);
  }

  /** The row of this id; null if the user has no such row. */
  async find(id: Uint8Array): Promise<SessionRow | null> {
    const row = await this.#records.store.read(id);
    if (row === null || !this.#has(row)) return null;
    return (await this.#ours([infoOfRow(row)])).length > 0 ? row : null;
  }

  /** Deletes one row. False if the user has no such row. */
  async delete(id: Uint8Array): Promise<boolean> {
    if ((await this.#delete(this.#refs, { only: id })) > 0) return true;
    if (this.#former.length === 0) return false;
    const row = await this.find(id);
    return row !== null && (await this.#deleteFormer(row));
  }

  /**
   * Deletes all rows except `except`, and repeats until a list shows none. A pass that deletes nothing is no proof: while a
   * transaction gives a session a new id, the new row is invisible to the pass, which waits for the transaction and then
   * finds the old row gone. A session that keeps getting new ids can hide from any number of such passes.
   * @param onDeleted called for each deletion, also before a failure
   * @throws {ConflictError} new rows kept appearing
   */
  async deleteAll(except: readonly Uint8Array[], onDeleted: (count: number) => void): Promise<void> {
    let total = 0;
    const deleted = (count: number) => {
      total += count;
      onDeleted(count);
    };
    const { store } = this.#records;
    const isKept = ({ id }: RowInfo): boolean => isAmong(id, except);
    for (let pass = 1; pass <= maxPasses; pass++) {
      deleted(await this.#delete(this.#refs, { except }));
      const former = (await this.#formerRows()).filter((row) => !isKept(row));
      for (const row of former) if (await this.#deleteFormer(row)) deleted(1);
      const left = await store.listByUser(this.#refs, except.length + 1);
      if (former.length === 0 && left.every(isKept)) return;
    }
    throw new ConflictError(
      `${total.toLocaleString("en-US")} sessions of the user were ended, but new ones kept appearing. Disable logins for this user, then retry.`,
    );
  }

  /** A row that is known to be ours stays ours, even if a save changes its reference meanwhile. */
  async #deleteFormer({ id }: Pick<RowInfo, "id">): Promise<boolean> {
    return (await this.#delete([...this.#refs, ...this.#former], { only: id })) > 0;
  }

  #delete(
    refs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Promise<number> {
    return this.#records.deleteByUser(refs, filter, this.#user, this.#by);
  }

  async #formerRows(): Promise<RowInfo[]> {
    if (this.#former.length === 0) return [];
    const rows = await this.#records.store.listByUser(this.#former, mostOfUser + 1);
    return rows.length <= mostOfUser ? this.#ours(rows) : this.#search(this.#former);
  }

  async #search(refs: readonly Uint8Array[]): Promise<RowInfo[]> {
    const found: RowInfo[] = [];
    for await (const row of walk(this.#records)) {
      if (row.userRef !== null && isAmong(row.userRef, refs)) found.push(row);
    }
    return newestFirst(await this.#ours(found));
  }

  #has({ userRef }: Pick<RowInfo, "userRef">): boolean {
    return userRef !== null && (isAmong(userRef, this.#refs) || isAmong(userRef, this.#former));
  }

  /** The rows of this application. If only the data shows the owner, rows are read, a few MiB at a time. */
  async #ours(rows: readonly RowInfo[]): Promise<RowInfo[]> {
    const { format } = this.#records.settings;
    // Without a name, our references look like those of others. Only a refused row is known not to be ours.
    const isNamed = this.#former.length > 0;
    const isCertain = (row: RowInfo): boolean =>
      isNamed ? isAmong(row.userRef!, this.#refs) : row.client === null;
    const found = new Set<RowInfo>();
    let unknown = 0;
    for (const page of pagesOf(rows.filter((row) => !isCertain(row)))) {
      const owners = await Promise.all(page.map((row) => ownerOf(this.#records, row)));
      for (const [index, owner] of owners.entries()) {
        if (owner === "this" || (owner === "unknown" && !isNamed)) found.add(page[index]!);
        else if (owner === "unknown") unknown++;
      }
    }
    if (unknown > 0) warnOfUnknown(format, unknown);
    return rows.filter((row) => isCertain(row) || found.has(row));
  }
}

function warnOfUnknown(format: SessionFormat, count: number): void {
  if (warned.has(format)) return;
  warned.add(format);
  const sessions = count === 1 ? "1 session" : `${count.toLocaleString("en-US")} sessions`;
  process.emitWarning(
    `${sessions} of a user may belong to this application or to another one with these keys: only the cookie opens them, and an earlier version, which did not bind \`app\` into the user's reference, wrote them. They were neither listed nor ended. The next save of each settles it, and the absolute timeout ends them.`,
    { code: "STORED_SESSION_UNKNOWN_APPLICATION" },
  );
}

function isAmong(bytes: Uint8Array, list: readonly Uint8Array[]): boolean {
  return list.some((one) => Buffer.compare(one, bytes) === 0);
}

function newestFirst(rows: readonly RowInfo[]): RowInfo[] {
  return rows.toSorted((a, b) => b.createdAt - a.createdAt);
}
