import { Codec, hasLinks } from "../codec/codec.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import { Sealer, type SealMode } from "../sealing/sealer.ts";
import type { SessionRow } from "../store/row.ts";
import type { Sealed, SessionFormat, StoredClient } from "./format.ts";
import { KnownTokens } from "./known-tokens.ts";
import { hasTokenShape, mintToken, readKnownToken, refreshToken } from "./token.ts";

export interface NativeFormatOptions {
  readonly keys: KeyRing;
  readonly app: string;
  readonly sealTo: SealMode;
  /** The other kind of sealing that is accepted when opening. Default: only `sealTo`. */
  readonly alsoOpens?: SealMode | undefined;
  readonly compressAbove: number | false;
  readonly maxBytes: number;
}

const noSid = new Uint8Array(0);

function keyName(envelope: Uint8Array | null): string | null {
  const id = envelope === null ? null : Sealer.keyId(envelope);
  return id === null ? null : id.toString(16).padStart(8, "0");
}

/** The native format, version 1: docs/formats.md. */
export function nativeFormat(options: NativeFormatOptions): SessionFormat {
  const { keys, app } = options;
  const codec = new Codec({ maxBytes: options.maxBytes });
  const sealer = new Sealer(options);
  const known = new KnownTokens();
  const newest = keys.newest.id;
  const opensBoth = options.alsoOpens !== undefined && options.alsoOpens !== options.sealTo;

  return {
    opensWithoutToken: options.sealTo === "keys",
    ...(opensBoth && { needsToken: (row: SessionRow) => Sealer.isToCookie(row.data) }),
    maxSealedBytes: options.maxBytes,
    keepsAuthentication: true,
    mint: () => mintToken(keys),
    read: (value) => readKnownToken(keys, known, value),
    rejection: (value) => (hasTokenShape(value) ? "unknown_key" : "malformed"),
    refresh: (token) => refreshToken(keys, token),
    userRef: (user) => (user === undefined ? null : keys.userRef(user, app)),
    userRefs: (user) => keys.userRefs(user, app),
    ...(app !== "" && { formerUserRefs: (user: string) => keys.userRefs(user) }),
    linkRefs: (name, value) => keys.linkRefs(name, value, app),
    linksOf(plaintext) {
      if (!hasLinks(plaintext)) return undefined;
      const links = codec.decode(plaintext).authentication?.links;
      return links && Object.entries(links).map(([name, value]) => keys.linkRefs(name, value, app)[0]!);
    },
    encode: (content) => codec.encode(content),
    encodesTo: (content, plaintext) => codec.encodesTo(content, plaintext),
    decode: (plaintext, snapshot) => codec.decode(plaintext, snapshot),
    same: (a, b) => codec.same(a, b),
    seal(plaintext, row, token, loaded) {
      const compress = loaded === undefined ? undefined : Sealer.isDeflated(loaded.data);
      // Without its cookie, a row keeps its kind of sealing until its owner returns.
      if (token === null && opensBoth) return sealer.sealToKeys(plaintext, row, compress);
      return sealer.seal(plaintext, row, token === null ? noSid : token.sid, compress);
    },
    open: (row, token) => sealer.open(row.data, row, token === null ? null : token.sid),
    sealClient(client, row) {
      const map: Record<string, string | true> = {};
      if (client.address) map["address"] = client.address.slice(0, 64).toWellFormed();
      if (client.userAgent) map["userAgent"] = client.userAgent.slice(0, 512).toWellFormed();
      if (client.bound) map["bound"] = true;
      return Object.keys(map).length === 0 ? null : sealer.sealClient(codec.encodeMap(map), row);
    },
    openClient(row): StoredClient | null {
      if (row.client === null) return null;
      return codec.decodeMap(sealer.openClient(row.client, row)) as StoredClient;
    },
    keyNames: keys.keys.map((key) => key.name),
    sealedUnder: (row: Sealed) => ({ data: keyName(row.data), client: keyName(row.client) }),
    isCurrent: (row: Sealed) =>
      Sealer.keyId(row.data) === newest && (row.client === null || Sealer.keyId(row.client) === newest),
  };
}
