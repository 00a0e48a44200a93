import { recordsOf, settingsOf, type SessionManager } from "../manager.ts";
import type { Outcome } from "../session/group-commit.ts";
import { handleOf } from "../session/handle.ts";
import type { Records } from "../session/records.ts";
import { UserRows } from "../session/user-rows.ts";
import { WriteEngine } from "../session/write-engine.ts";
import type { SessionRow } from "../store/row.ts";
import { assertManager } from "./assert-manager.ts";
import { kindOf, library, placesOf, userOfKey, type Value } from "./better-auth/keys.ts";
import { EndedIds } from "./drop-in/ended-ids.ts";
import { entryIn, EntryRow, type Entry } from "./entries.ts";

/** `secondaryStorage` of better-auth. */
export interface StoredSecondaryStorage {
  get(key: string): Promise<string | null>;
  getAndDelete(key: string): Promise<string | null>;
  /** @param ttl seconds, from the first increment */
  increment(key: string, ttl: number): Promise<number>;
  /** @param ttl seconds */
  set(key: string, value: string, ttl?: number): Promise<void>;
  delete(key: string): Promise<void>;
}

const hour = 3_600_000;

/**
 * A `secondaryStorage` for better-auth that keeps its sessions, verification values and rate limits encrypted in the session
 * table: `betterAuth({ secondaryStorage: storedSessionStorage(sessions) })`.
 *
 * Rows of sessions belong to their user, so `sessions.forUser(id)` lists and ends them. The list of a user's active sessions
 * is read from these rows and not from an index, which concurrent requests could damage. A session that was deleted is not
 * revived by a request that read it before.
 * @throws {TypeError} the manager seals to cookies: the list of a user's sessions must open without them
 */
export function storedSessionStorage<Data>(sessions: SessionManager<Data>): StoredSecondaryStorage {
  assertManager(sessions);
  const { format, device, storeTimeout } = settingsOf(sessions as SessionManager<never>);
  if (device !== null) {
    throw new TypeError(
      "storedSessionStorage does not work with `deviceBinding`: better-auth sends the cookie itself. Create a manager without it for better-auth.",
    );
  }
  if (!format.opensWithoutToken || format.needsToken !== undefined) {
    throw new TypeError(
      'storedSessionStorage requires sealTo: "keys": with "cookie", the sessions of a user cannot be listed for better-auth.',
    );
  }
  const storage = new Storage(recordsOf(sessions as SessionManager<never>), storeTimeout);
  // better-auth calls some methods without their object.
  return {
    get: (key) => storage.get(key),
    getAndDelete: (key) => storage.getAndDelete(key),
    increment: (key, ttl) => storage.increment(key, ttl),
    set: (key, value, ttl) => storage.set(key, value, ttl),
    delete: (key) => storage.delete(key),
  };
}

class Storage implements StoredSecondaryStorage {
  readonly #records: Records;
  readonly #engine: WriteEngine<never, never>;
  /** Sessions that this process saw alive, whose rows have disappeared since. */
  readonly #ended: EndedIds;

  constructor(records: Records, storeTimeout: number) {
    this.#records = records;
    this.#engine = new WriteEngine(storeTimeout);
    this.#ended = new EndedIds(() => records.now());
  }

  async get(key: string): Promise<string | null> {
    if (kindOf(key) === "active sessions") return this.#activeSessions(userOfKey(key));
    const { entry, row } = await this.#find(key);
    if (kindOf(key) === "session") {
      const name = handleOf(row.token.id);
      if (entry === null) this.#ended.gone(name);
      else this.#ended.alive(name);
    }
    return textOf(entry);
  }

  async getAndDelete(key: string): Promise<string | null> {
    let taken: string | null = null;
    await this.#change(key, async (row, present) => {
      const entry = present && row.open(present);
      taken = textOf(entry);
      if (taken === null) return true;
      // Of requests that read the same value, one writes the tombstone.
      if (!(await row.write(present, null, { end: this.#records.now() + hour }))) return false;
      if (kindOf(key) !== "session") await row.delete();
      return true;
    });
    return taken;
  }

  async increment(key: string, ttl: number): Promise<number> {
    let count = 0;
    await this.#change(key, (row, present) => {
      const entry = present && row.open(present);
      count = Number(entry?.value ?? 0) + 1;
      const end = entry?.value == null ? this.#endAfter(ttl) : present!.expiresAt;
      return row.write(present, count, { end });
    });
    return count;
  }

  async set(key: string, value: string, ttl?: number): Promise<void> {
    const kind = kindOf(key);
    if (kind === "active sessions") return; // read from the rows
    const user = kind === "session" ? userIn(value) : undefined;
    await this.#change(key, async (row, present) => {
      const entry = present && row.open(present);
      if (kind === "session" && !this.#mayWrite(row, entry)) return true;
      const latest = kind === "revoked before" ? laterOf(entry, value) : value;
      return row.write(present, latest, { user, end: this.#endAfter(ttl) });
    });
  }

  /** Whether a session may be written: it is new, or still there. */
  #mayWrite(row: EntryRow<Value>, entry: Entry<Value> | null): boolean {
    if (entry !== null) return entry.value !== null;
    const name = handleOf(row.token.id);
    this.#ended.gone(name);
    return !this.#ended.has(name);
  }

  async delete(key: string): Promise<void> {
    const kind = kindOf(key);
    if (kind === "active sessions") return;
    if (kind !== "session") {
      await Promise.all(this.#rowsOf(key).map((row) => row.delete()));
      return;
    }
    await this.#change(key, async (row, present) => {
      const entry = present && row.open(present);
      if (present === null || entry === null) this.#ended.gone(handleOf(row.token.id));
      if (entry?.value == null) return true;
      const end = Math.max(present!.expiresAt, this.#records.now() + hour);
      return row.write(present, null, { end });
    });
  }

  /** In the form of the index that better-auth would keep. */
  async #activeSessions(user: string): Promise<string | null> {
    const { store } = this.#records;
    const infos = await new UserRows(this.#records, user).list(1_000);
    const rows = await Promise.all(
      infos.filter((info) => this.#records.isAlive(info)).map(({ id }) => store.read(id)),
    );
    const sessions = rows.flatMap((row) => (row === null ? [] : this.#activeSession(row)));
    return sessions.length === 0 ? null : JSON.stringify(sessions);
  }

  #activeSession(row: SessionRow): { token: string; expiresAt: number }[] {
    const entry = entryIn<Value>(this.#records, library, row, null);
    if (typeof entry?.value !== "string") return []; // a session of the application, or a tombstone
    const expiresAt = Date.parse(sessionIn(entry.value)?.["expiresAt"] as string);
    return [{ token: entry.key, expiresAt: Number.isNaN(expiresAt) ? row.expiresAt : expiresAt }];
  }

  #rowsOf(key: string): EntryRow<Value>[] {
    return placesOf(this.#records.settings.format, key).map(
      (token) => new EntryRow(this.#records, library, key, token),
    );
  }

  /** The entry of a key, and the row that has it, or that a new one goes to. */
  async #find(key: string): Promise<{ row: EntryRow<Value>; entry: Entry<Value> | null }> {
    const rows = this.#rowsOf(key);
    const entries = await Promise.all(rows.map((row) => row.read()));
    const index = entries.findIndex((entry) => entry !== null);
    return index === -1 ? { row: rows[0]!, entry: null } : { row: rows[index]!, entry: entries[index]! };
  }

  /**
   * Reads the row of a key and changes it, until the change matches. Changes of one key in this process take turns.
   * @throws {ConflictError} other processes kept changing it
   */
  async #change(
    key: string,
    change: (row: EntryRow<Value>, present: SessionRow | null) => Promise<boolean>,
  ): Promise<void> {
    const { row } = await this.#findIfSeveral(key);
    await this.#engine.alone(row.token, {
      rebase: () => Promise.resolve("unchanged"),
      attempt: async (): Promise<Outcome> => ((await change(row, await row.present())) ? "done" : "beaten"),
    });
  }

  /** With one key in the ring, or for a session, there is only one place. */
  async #findIfSeveral(key: string): Promise<{ row: EntryRow<Value> }> {
    const rows = this.#rowsOf(key);
    return rows.length === 1 ? { row: rows[0]! } : this.#find(key);
  }

  #endAfter(ttl: number | undefined): number {
    return ttl === undefined ? Number.MAX_SAFE_INTEGER : this.#records.now() + ttl * 1_000;
  }
}

function textOf(entry: Entry<Value> | null): string | null {
  return entry?.value == null ? null : String(entry.value);
}

function laterOf(entry: Entry<Value> | null, value: string): string {
  const stored = Number(entry?.value ?? 0);
  return stored > Number(value) ? String(stored) : value;
}

function sessionIn(value: string): Record<string, unknown> | undefined {
  try {
    return (JSON.parse(value) as { session?: Record<string, unknown> } | null)?.session;
  } catch {
    return undefined;
  }
}

/** Who a session belongs to. */
function userIn(value: string): string | undefined {
  const id = sessionIn(value)?.["userId"];
  return typeof id === "string" && id !== "" ? id : typeof id === "number" ? String(id) : undefined;
}
