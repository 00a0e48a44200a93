import type { Content } from "../../codec/codec.ts";
import { RefusedError } from "../../errors.ts";
import type { Records } from "../../session/records.ts";
import { publishRefusal } from "../../session/refusal.ts";
import type { Token } from "../../session/token.ts";
import { sameBytes } from "../../shared/bytes.ts";
import type { SessionRow } from "../../store/row.ts";

/** A content, its plaintext, and the session's end. */
export interface Written {
  readonly content: Content;
  readonly plaintext: Uint8Array;
  readonly end: number;
}

/** The conditional writes of a session whose id a middleware manages. Returns null if the condition does not match. */
export class DropInRows {
  readonly #records: Records;
  readonly #token: Token;

  constructor(records: Records, token: Token) {
    this.#records = records;
    this.#token = token;
  }

  /** The row. Null if the session has ended. */
  read(): Promise<SessionRow | null> {
    return this.#records.read(this.#token.id);
  }

  /** The plaintext of a row. Null if it is refused, which is published. */
  open(row: SessionRow): Uint8Array | null {
    try {
      return this.#records.settings.format.open(row, this.#token);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.#records.settings);
      return null;
    }
  }

  /** Creates a row for a session that starts now. */
  anew({ content, plaintext, end }: Written): SessionRow {
    return limited(this.#records, this.#records.begin(this.#token, plaintext, content.user, undefined), end);
  }

  async insert(row: SessionRow, user: string | undefined): Promise<SessionRow | null> {
    return (await this.#records.insert(row, "save", { user })) ? row : null;
  }

  /** The row with this id, whether ended or not. Null if there is none. */
  present(): Promise<SessionRow | null> {
    return this.#records.store.read(this.#token.id);
  }

  /** Creates a row that replaces the loaded one. */
  next(loaded: SessionRow, { content, plaintext, end }: Written): SessionRow {
    return limited(this.#records, this.#records.next(this.#token, plaintext, content.user, loaded), end);
  }

  async update(loaded: SessionRow, row: SessionRow): Promise<SessionRow | null> {
    return (await this.#records.update(loaded, row, "save")) ? row : null;
  }

  /** Starts the session over under its own id, which the middleware's cookie contains. */
  async replace(loaded: SessionRow, row: SessionRow, user: string | undefined): Promise<SessionRow | null> {
    const reason = user === undefined ? "reset" : "login";
    return (await this.#records.replace(loaded, row, reason, { user })) ? row : null;
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

/** Returns the row with an end within the configured limits. */
export function limited(records: Records, row: SessionRow, end: number): SessionRow {
  return { ...row, expiresAt: limitedEnd(records, row, end) };
}

/** Returns an end for the row within the configured limits. */
export function limitedEnd(records: Records, row: SessionRow, end: number): number {
  const latest = Math.min(row.absoluteExpiresAt, records.now() + records.settings.idleTimeout);
  return Math.max(Math.min(end, latest), row.updatedAt);
}
