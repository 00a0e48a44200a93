import type { Content } from "../codec/codec.ts";
import type { SessionRow } from "../store/row.ts";
import type { FlashInData } from "./merge.ts";
import type { CookieRejection } from "./rejected-cookies.ts";
import type { Token } from "./token.ts";

/** What names its keys: of the data, the first bytes are enough. */
export type Sealed = Pick<SessionRow, "data" | "client">;

/** A row whose data is yet to be sealed. */
export type BareRow = Omit<SessionRow, "data" | "client">;

/** Where a session came from, as listed to its user. */
export interface ClientInfo {
  /** Remote address as the application's framework reports it; at most 64 characters are kept. */
  readonly address?: string | undefined;
  /** The `User-Agent` header; at most 512 characters are kept. */
  readonly userAgent?: string | undefined;
}

/**
 * Who a session is begun by, or a function that says so: called once, when a session is first saved, and not at all for
 * requests that begin none. What it throws, the commit throws.
 */
export type ClientSource = ClientInfo | (() => ClientInfo | undefined);

/**
 * How tokens, row ids and rows of one kind look: everything between a cookie's value and the bytes of a row. The
 * native format is this package's own (`native-format.ts`); Rails mode brings another. Stateless apart from keys.
 */
export interface SessionFormat {
  /** A token for a session that nobody has yet. */
  mint(): Token;
  /** The token of a cookie's value; null for anything that this format did not make. Asks no store. */
  read(value: string): Token | null;
  /**
   * Why `read` does not accept a value, for formats whose tokens have a tag: "unknown_key" when only the tag is wrong.
   * Others: "malformed".
   */
  rejection?(value: string): CookieRejection;
  /** The same session's token, freshly tagged. */
  refresh(token: Token): Token;
  /** The blind reference of a user that a row is written with; null for nobody, and for formats that have none. */
  userRef(user: string | undefined): Uint8Array | null;
  /** Every blind reference of a user that this application's rows may have: one for each key. */
  userRefs(user: string): Uint8Array[];
  /**
   * The references that rows had before `app` was bound into them, for an application with a name. Other applications
   * share these: a row that has one counts only where it is known to be this application's.
   */
  formerUserRefs?(user: string): Uint8Array[];
  /**
   * Bytes of a session's content. `loaded` is what the row held before, for formats that give back unchanged what
   * the application did not touch.
   * @throws {ValueError} a value that cannot be stored
   * @throws {LimitError} too large, too deep, too many keys
   */
  encode(content: Content, loaded: Uint8Array | null): Uint8Array;
  /** @throws {RefusedError} bytes that `encode` did not make */
  decode(plaintext: Uint8Array): Content;
  /** Whether two values are stored as the same bytes. One that cannot be stored is the same as itself only. */
  same(a: unknown, b: unknown): boolean;
  /** For formats whose user is in the data and nowhere else: `decode` found it by this. */
  readonly userOf?: ((data: Record<string, unknown>) => string | undefined) | undefined;
  /** For formats that keep the flash under a key of the data. */
  readonly flashInData?: FlashInData;
  /**
   * @param token null when an operator reseals a row of a format that `opensWithoutToken`
   * @param loaded the row then, which decides whether its next one is compressed: the operator's settings may be other
   *   than the application's
   */
  seal(plaintext: Uint8Array, row: BareRow, token: Token | null, loaded?: SessionRow): Uint8Array;
  /**
   * @param token null when a row is opened for an operator rather than for its owner
   * @throws {RefusedError} a row that does not open
   */
  open(row: SessionRow, token: Token | null): Uint8Array;
  sealClient(client: ClientInfo, row: BareRow): Uint8Array | null;
  /** @throws {RefusedError} */
  openClient(row: Omit<SessionRow, "data">): ClientInfo | null;
  /** Whether the row's data, client and user reference are all under the newest key. */
  isCurrent(row: Sealed): boolean;
  /** Names of the keys, newest first, for formats whose rows name their key. */
  readonly keyNames?: readonly string[];
  /** The names of the keys that sealed a row's columns, known or not; null where there is nothing sealed. */
  sealedUnder?(row: Sealed): { readonly data: string | null; readonly client: string | null };
  /** Bytes that the `data` of a row has at most, or a little less, for formats that have a limit. */
  readonly maxSealedBytes?: number;
  /** Whether the rows that it seals can be opened without the cookie: false when they are sealed to it. */
  readonly opensWithoutToken: boolean;
  /** Whether a row opens only with its cookie, for formats that open rows of both kinds. */
  needsToken?(row: Pick<SessionRow, "data">): boolean;
}

/** Whether a row can be opened without its cookie. */
export function opensAlone(format: SessionFormat, row: Pick<SessionRow, "data">): boolean {
  return format.needsToken === undefined ? format.opensWithoutToken : !format.needsToken(row);
}

/** Whether a row of this user still has a reference from before `app` was bound into it. */
export function hasFormerUserRef(
  format: SessionFormat,
  { userRef }: Pick<SessionRow, "userRef">,
  user: string | undefined,
): boolean {
  if (format.formerUserRefs === undefined || user === undefined || userRef === null) return false;
  return format.formerUserRefs(user).some((former) => Buffer.compare(former, userRef) === 0);
}
