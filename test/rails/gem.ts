/** A Rails application with the gem, as far as its table sees it: it loads, and it writes whatever is there. */
import { RailsEncryption } from "../../src/rails/encryption.ts";
import { decodeSession, encodeSession, sessionObject } from "../../src/rails/session-bytes.ts";
import { privateId } from "../../src/rails/session-id.ts";
import { gemWrites, type RailsTable, type TestDatabase } from "./tables.ts";

export const railsKeys = {
  primaryKey: "test primary key one",
  keyDerivationSalt: "test salt",
  hashDigestClass: "SHA256",
} as const;

type Data = Record<string, unknown>;

export class Gem {
  readonly #encryption = new RailsEncryption(railsKeys);
  readonly #table: RailsTable;
  readonly #kind: TestDatabase["kind"];
  readonly now: () => number;

  constructor(table: RailsTable, kind: TestDatabase["kind"], now: () => number) {
    this.#table = table;
    this.#kind = kind;
    this.now = now;
  }

  /** The session of a cookie; empty where there is none. */
  async load(publicId: string): Promise<Data> {
    const { ask, table } = this.#table;
    const [row] = await ask(`SELECT data FROM ${table} WHERE sid = ?`, [privateId(publicId)]);
    const data = row?.["data"] as Uint8Array | null | undefined;
    return data ? sessionObject(decodeSession(this.#encryption.open(data))) : {};
  }

  /** The gem's write at the end of every request: the whole session, over whatever is there. */
  async write(publicId: string, data: Data): Promise<void> {
    const plaintext = encodeSession(data, null);
    const sealed = plaintext && this.#encryption.seal(plaintext);
    await gemWrites(this.#table, this.#kind, privateId(publicId), sealed, this.now());
  }

  async delete(publicId: string): Promise<void> {
    await this.#table.ask(`DELETE FROM ${this.#table.table} WHERE sid = ?`, [privateId(publicId)]);
  }

  async has(publicId: string): Promise<boolean> {
    const { ask, table } = this.#table;
    return (await ask(`SELECT sid FROM ${table} WHERE sid = ?`, [privateId(publicId)])).length === 1;
  }
}

/** The value of a `name=value` pair. */
export function valueOf(cookie: string): string {
  return cookie.slice(cookie.indexOf("=") + 1);
}
