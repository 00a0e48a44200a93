import type { Content } from "../../codec/codec.ts";
import { RefusedError } from "../../errors.ts";
import type { Records } from "../../session/records.ts";
import { publishRefusal } from "../../session/refusal.ts";
import type { Token } from "../../session/token.ts";
import { sameBytes } from "../../shared/bytes.ts";
import type { SessionRow } from "../../store/row.ts";

/** A content, its bytes, and when the session ends. */
export interface Written {
  readonly content: Content;
  readonly plaintext: Uint8Array;
  readonly end: number;
}

/** The conditional writes of one session whose id belongs to a middleware. A write that does not match answers null. */
export class DropInRows {
  readonly #records: Records;
  readonly #token: Token;

  constructor(records: Records, token: Token) {
    this.#records = records;
    this.#token = token;
  }

  /** The row; null when the session has ended. */
  read(): Promise<SessionRow | null> {
    return this.#records.read(this.#token.id);
  }

  /** The bytes of a row; null when it is refused, which is published. */
  open(row: SessionRow): Uint8Array | null {
    try {
      return this.#records.settings.format.open(row, this.#token);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error);
      return null;
    }
  }

  /** A row for a session that begins now. */
  anew({ content, plaintext, end }: Written): SessionRow {
    return limited(this.#records, this.#records.begin(this.#token, plaintext, content.user, undefined), end);
  }

  async insert(row: SessionRow): Promise<SessionRow | null> {
    return (await this.#records.insert(row, "save")) ? row : null;
  }

  /** Whatever is stored under the id, ended or not; null for nothing. */
  present(): Promise<SessionRow | null> {
    return this.#records.store.read(this.#token.id);
  }

  /** A row that takes the place of the one loaded. */
  next(loaded: SessionRow, { content, plaintext, end }: Written): SessionRow {
    return limited(this.#records, this.#records.next(this.#token, plaintext, content.user, loaded), end);
  }

  async update(loaded: SessionRow, row: SessionRow): Promise<SessionRow | null> {
    return (await this.#records.update(loaded, row, "save")) ? row : null;
  }

  /** Begins the session anew under its own id, which the middleware's cookie names. */
  async replace(loaded: SessionRow, row: SessionRow, user: string | undefined): Promise<SessionRow | null> {
    return (await this.#records.replace(loaded, row, user === undefined ? "reset" : "login")) ? row : null;
  }

  async delete(): Promise<void> {
    await this.#records.delete(this.#token.id);
  }

  isAlive(row: SessionRow): boolean {
    return this.#records.isAlive(row);
  }

  isOf({ userRef }: SessionRow, user: string | undefined): boolean {
    if (user === undefined || userRef === null) return user === undefined && userRef === null;
    const { format } = this.#records.settings;
    const refs = [...format.userRefs(user), ...(format.formerUserRefs?.(user) ?? [])];
    return refs.some((ref) => sameBytes(ref, userRef));
  }
}

/** The row with an end within the limits that the options set. */
export function limited(records: Records, row: SessionRow, end: number): SessionRow {
  const latest = Math.min(row.absoluteExpiresAt, records.now() + records.settings.idleTimeout);
  return { ...row, expiresAt: Math.max(Math.min(end, latest), row.updatedAt) };
}
