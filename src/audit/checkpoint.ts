/** Checkpoints: what they hold, how they are signed, and how a signature is verified. The layout is in docs/formats.md. */
import { createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { hash } from "../sealing/hash.ts";
import { label } from "../sealing/label.ts";
import { CHAIN_BYTES, type AuditCheckpoint } from "../store/audit.ts";
import { HASH_BYTES, NO_HASH } from "./chain.ts";
import { pairOf, publicKeysOf, SPKI } from "./public-keys.ts";
import type { KeyRing } from "../sealing/keyring.ts";

/** The last event of a chain that a checkpoint covers. */
export interface Head {
  readonly chain: Uint8Array;
  readonly number: number;
  readonly hash: Uint8Array;
}

export interface CheckpointContent {
  /** `full` lists every chain there is, so that nobody has to read the checkpoints before it. */
  readonly kind: "heads" | "pruned" | "full";
  /** Id of the key that signed. */
  readonly keyId: number;
  readonly number: number;
  readonly at: number;
  /** Hash of the checkpoint before. */
  readonly previous: Uint8Array;
  /** Events that all checkpoints so far cover, pruned ones as well. */
  readonly events: number;
  /** Checkpoints with lower numbers may be gone. */
  readonly floor: number;
  /** Of chains that went on since the checkpoint before; or of those that were pruned. */
  readonly heads: readonly Head[];
}

const SUITE = 1;
const CHECKPOINT = label("audit-checkpoint");
const HEADER_BYTES = 1 + 1 + 4 + 8 + 8 + HASH_BYTES + 8 + 8 + 4;
const HEAD_BYTES = CHAIN_BYTES + 8 + HASH_BYTES;

/** Public keys by the id of the key of the ring that they belong to. */
export type PublicKeys = ReadonlyMap<number, KeyObject>;

/** @throws {TypeError} a text that is no public key */
export function readPublicKeys(texts: readonly string[]): PublicKeys {
  return new Map(
    texts.map((text) => {
      const [, id, body = ""] = /^sspk1_([0-9a-f]{8})_([\w-]{43})$/.exec(text.trim()) ?? [];
      const raw = Buffer.from(body, "base64url");
      if (id === undefined || raw.toString("base64url") !== body) {
        throw new TypeError(
          "A public key of the audit trail begins with sspk1_. `stored-session audit verify` prints it when it has the keys.",
        );
      }
      const key = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: "der", type: "spki" });
      return [Number.parseInt(id, 16), key];
    }),
  );
}

export function publicKeysOfRing(keys: KeyRing): PublicKeys {
  return readPublicKeys(publicKeysOf(keys));
}

export function signCheckpoint(keys: KeyRing, content: Omit<CheckpointContent, "keyId">): AuditCheckpoint {
  const key = keys.newest;
  const body = encode({ ...content, keyId: key.id });
  const signature = new Uint8Array(sign(null, signed(body), pairOf(key).secret));
  return { number: content.number, at: content.at, kind: kindCode(content.kind), body, signature };
}

/** Whether a known key signed these bytes. Null if the key is not known. */
export function isSigned(
  { body, signature }: AuditCheckpoint,
  keyId: number,
  keys: PublicKeys,
): boolean | null {
  const key = keys.get(keyId);
  if (key === undefined) return null;
  return signature.length === 64 && verify(null, signed(body), key, signature);
}

/** The hash that the next checkpoint names. */
export function checkpointHash(body: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", signed(body), "buffer"));
}

function signed(body: Uint8Array): Uint8Array {
  return Buffer.concat([CHECKPOINT, body]);
}

const kinds = ["heads", "pruned", "full"] as const;

/** The code in the column `kind`. */
export function kindCode(kind: CheckpointContent["kind"]): number {
  return kinds.indexOf(kind);
}

function encode(content: CheckpointContent): Uint8Array {
  const body = Buffer.alloc(HEADER_BYTES + content.heads.length * HEAD_BYTES);
  let at = body.writeUInt8(SUITE, 0);
  at = body.writeUInt8(kindCode(content.kind), at);
  at = body.writeUInt32BE(content.keyId, at);
  at = body.writeBigUInt64BE(BigInt(content.number), at);
  at = body.writeBigInt64BE(BigInt(content.at), at);
  body.set(content.previous, at);
  at = body.writeBigUInt64BE(BigInt(content.events), at + HASH_BYTES);
  at = body.writeBigUInt64BE(BigInt(content.floor), at);
  at = body.writeUInt32BE(content.heads.length, at);
  for (const { chain, number, hash: head } of content.heads) {
    body.set(chain, at);
    at = body.writeBigUInt64BE(BigInt(number), at + CHAIN_BYTES);
    body.set(head, at);
    at += HASH_BYTES;
  }
  return new Uint8Array(body);
}

/** Null if these are not the bytes of a checkpoint. */
export function decodeCheckpoint(bytes: Uint8Array): CheckpointContent | null {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (body.length < HEADER_BYTES || body[0] !== SUITE || body[1]! >= kinds.length) return null;
  const count = body.readUInt32BE(HEADER_BYTES - 4);
  if (body.length !== HEADER_BYTES + count * HEAD_BYTES) return null;
  const heads = Array.from({ length: count }, (_, index) => {
    const at = HEADER_BYTES + index * HEAD_BYTES;
    return {
      chain: new Uint8Array(body.subarray(at, at + CHAIN_BYTES)),
      number: Number(body.readBigUInt64BE(at + CHAIN_BYTES)),
      hash: new Uint8Array(body.subarray(at + CHAIN_BYTES + 8, at + HEAD_BYTES)),
    };
  });
  return {
    kind: kinds[body[1]!]!,
    keyId: body.readUInt32BE(2),
    number: Number(body.readBigUInt64BE(6)),
    at: Number(body.readBigInt64BE(14)),
    previous: new Uint8Array(body.subarray(22, 54)),
    events: Number(body.readBigUInt64BE(54)),
    floor: Number(body.readBigUInt64BE(62)),
    heads,
  };
}

/** What the first checkpoint names as the one before. */
export const NO_CHECKPOINT: Uint8Array = NO_HASH;

/** A checkpoint as it is passed to an anchor: one line of text. */
export interface Anchored {
  readonly number: number;
  readonly at: Date;
  /** SHA-256 of the signed bytes in hex: what a witness has to keep. */
  readonly hash: string;
  /** The signed bytes in base64. */
  readonly body: string;
  /** Ed25519, in base64. */
  readonly signature: string;
}

export function anchoredOf({ number, at, body, signature }: AuditCheckpoint): Anchored {
  return {
    number,
    at: new Date(at),
    hash: Buffer.from(checkpointHash(body)).toString("hex"),
    body: Buffer.from(body).toString("base64"),
    signature: Buffer.from(signature).toString("base64"),
  };
}
