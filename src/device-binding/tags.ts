import { timingSafeEqual } from "node:crypto";
import type { Key, KeyRing } from "../sealing/keyring.ts";
import { label } from "../sealing/label.ts";

/** What a tag is for: one made for another purpose does not verify. */
export const purpose = { cookie: 1, registration: 2, refresh: 3 } as const;
export type Purpose = (typeof purpose)[keyof typeof purpose];

const version = 1;
const headBytes = 12;
const tagBytes = 18;
const messageLabel = label("device");
// 30 bytes are a multiple of three, so base64url has no spare bits.
const shape = /^[\w-]{40}$/;

/**
 * Writes and reads device cookies and challenges: a time, and a tag under a key of the ring that also covers the purpose
 * and a subject, which the reader has to know (docs/formats.md).
 */
export class DeviceTags {
  readonly #keys: KeyRing;

  constructor(keys: KeyRing) {
    this.#keys = keys;
  }

  /** @param time milliseconds since the epoch */
  make(of: Purpose, time: number, subject: Uint8Array): string {
    const { newest } = this.#keys;
    const head = Buffer.alloc(headBytes);
    head[0] = version;
    head[1] = of;
    head.writeUInt32BE(newest.id, 2);
    head.writeUIntBE(time, 6, 6);
    return Buffer.concat([head, tagOf(newest, head, subject)]).toString("base64url");
  }

  /** The time in a text that `make` returned for this purpose and subject. Null for any other text. */
  read(of: Purpose, text: string, subject: Uint8Array): number | null {
    if (!shape.test(text)) return null;
    const bytes = Buffer.from(text, "base64url");
    const head = bytes.subarray(0, headBytes);
    const key = this.#keys.find(head.readUInt32BE(2));
    if (head[0] !== version || head[1] !== of || key === undefined) return null;
    if (!timingSafeEqual(tagOf(key, head, subject), bytes.subarray(headBytes))) return null;
    return head.readUIntBE(6, 6);
  }
}

function tagOf(key: Key, head: Uint8Array, subject: Uint8Array): Uint8Array {
  return key.device.of(Buffer.concat([messageLabel, head, subject])).subarray(0, tagBytes);
}
