import type { Content } from "../codec/codec.ts";
import type { Snapshot } from "../codec/snapshot.ts";
import type { SessionRow } from "../store/row.ts";
import type { FlashInData } from "./merge.ts";
import type { CookieRejection } from "./rejected-cookies.ts";
import type { Token } from "./token.ts";

/** The columns that name their keys. The first bytes of `data` are enough. */
export type Sealed = Pick<SessionRow, "data" | "client">;

/** A row whose data is not sealed yet. */
export type BareRow = Omit<SessionRow, "data" | "client" | "links">;

/** Where a session was started, for device lists. */
export interface ClientInfo {
  /** Remote address as the application's framework reports it; at most 64 characters are kept. */
  readonly address?: string | undefined;
  /** The `User-Agent` header; at most 512 characters are kept. */
  readonly userAgent?: string | undefined;
}

/** What the `client` column holds: it opens without the cookie, so lists can show it. */
export interface StoredClient extends ClientInfo {
  /** The session is bound to a device. */
  readonly bound?: true;
}

/**
 * Address and user agent of the client, or a function that returns them. The function is called once, when a session is
 * first saved, and never for requests that start no session. If it throws, the commit throws the same error.
 */
export type ClientSource = ClientInfo | (() => ClientInfo | undefined);

/**
 * Encodes and decodes tokens, row ids and rows: everything between a cookie's value and the bytes of a row. The native
 * format is in `native-format.ts`; Rails mode has its own. Stateless apart from keys.
 */
export interface SessionFormat {
  /** Makes the token of a new session. */
  mint(): Token;
  /** The token in a cookie's value; null for anything that this format did not make. Does not query the store. */
  read(value: string): Token | null;
  /**
   * Why `read` rejects a value, for formats whose tokens have a tag: "unknown_key" if only the tag is wrong, otherwise
   * "malformed".
   */
  rejection?(value: string): CookieRejection;
  /** The same session's token, with the newest key's tag. */
  refresh(token: Token): Token;
  /** The user reference to write into a row; null for an anonymous session, and for formats without references. */
  userRef(user: string | undefined): Uint8Array | null;
  /** All user references that this application's rows may have: one for each key. */
  userRefs(user: string): Uint8Array[];
  /**
   * For an application with a name: the references from before `app` was bound into them. Other applications share them,
   * so a row with one counts only if it is known to belong to this application.
   */
  formerUserRefs?(user: string): Uint8Array[];
  /** Blind indexes of a link under every key, newest first. Absent from a format without links. */
  linkRefs?(name: string, value: string): Uint8Array[];
  /** What to store as the links of a row with this content. Undefined if it has none. */
  linksOf?(plaintext: Uint8Array): Uint8Array[] | undefined;
  /**
   * The bytes of a session's content.
   * @param loaded what the row held before, for formats that keep what the application did not touch
   * @throws {ValueError} a value that cannot be stored
   * @throws {LimitError} too large, too deep, too many keys
   */
  encode(content: Content, loaded: Uint8Array | null): Uint8Array;
  /**
   * Whether `encode` would give these bytes, for formats that know without encoding.
   * @throws {ValueError} {LimitError} like `encode`
   */
  encodesTo?(content: Content, plaintext: Uint8Array): boolean;
  /**
   * @param snapshot of these bytes, for formats that find changes by it
   * @throws {RefusedError} bytes that `encode` did not make
   */
  decode(plaintext: Uint8Array, snapshot?: Snapshot): Content;
  /** Whether two values are stored as the same bytes. A value that cannot be stored equals only itself. */
  same(a: unknown, b: unknown): boolean;
  /** For formats that keep the user only in the data: how `decode` finds it. */
  readonly userOf?: ((data: Record<string, unknown>) => string | undefined) | undefined;
  /** Whether `encode` keeps the authentication of a content, and the creation time of a row is sealed. */
  readonly keepsAuthentication?: boolean;
  /** For formats that keep flash messages under a key of the data. */
  readonly flashInData?: FlashInData;
  /**
   * @param token null when an operator reseals a row of a format that `opensWithoutToken`
   * @param loaded that row. It decides whether the new one is compressed, because the operator's settings may differ from
   *   the application's
   */
  seal(plaintext: Uint8Array, row: BareRow, token: Token | null, loaded?: SessionRow): Uint8Array;
  /**
   * @param token null when an operator opens the row, and not its owner
   * @throws {RefusedError} the row does not open
   */
  open(row: SessionRow, token: Token | null): Uint8Array;
  sealClient(client: StoredClient, row: BareRow): Uint8Array | null;
  /** @throws {RefusedError} */
  openClient(row: Omit<SessionRow, "data">): StoredClient | null;
  /** Whether the row's data, client and user reference are all under the newest key. */
  isCurrent(row: Sealed): boolean;
  /** Names of the keys, newest first, for formats whose rows name their key. */
  readonly keyNames?: readonly string[];
  /** The names of the keys that sealed a row's columns, known or unknown; null if nothing is sealed. */
  sealedUnder?(row: Sealed): { readonly data: string | null; readonly client: string | null };
  /** The size limit of a row's `data` in bytes, or slightly less, for formats that have one. */
  readonly maxSealedBytes?: number;
  /** Whether the rows that it seals open without the cookie. False if they are sealed to it. */
  readonly opensWithoutToken: boolean;
  /** For formats that open both kinds of rows: whether this row opens only with its cookie. */
  needsToken?(row: Pick<SessionRow, "data">): boolean;
}

/** Whether a row can be opened without its cookie. */
export function opensAlone(format: SessionFormat, row: Pick<SessionRow, "data">): boolean {
  return format.needsToken === undefined ? format.opensWithoutToken : !format.needsToken(row);
}

/** Whether a row of this user still has a reference from before `app` was bound into references. */
export function hasFormerUserRef(
  format: SessionFormat,
  { userRef }: Pick<SessionRow, "userRef">,
  user: string | undefined,
): boolean {
  if (format.formerUserRefs === undefined || user === undefined || userRef === null) return false;
  return format.formerUserRefs(user).some((former) => Buffer.compare(former, userRef) === 0);
}
