import { RefusedError } from "../errors.ts";
import { RubyString, RubySymbol } from "./types.ts";

export const IV_BYTES = 12;
export const TAG_BYTES = 16;

/** Encodings that a plaintext can be tagged with. They say nothing about its bytes. */
const ENCODINGS: readonly unknown[] = [undefined, null, "ASCII-8BIT", "BINARY", "UTF-8", "US-ASCII"];

/** An Active Record encryption message whose parts have valid types and sizes. */
export interface Message {
  readonly ciphertext: Uint8Array;
  readonly iv: Uint8Array;
  readonly tag: Uint8Array;
  readonly reference: string | null;
  readonly dataKey: Message | null;
  readonly compressed: boolean;
}

/** A message with an invalid part. Never treat it as an unencrypted session. */
export class BrokenMessage extends RefusedError {}

/**
 * @throws {RefusedError} reason "decode": not a message
 * @throws {BrokenMessage}
 */
export function readMessage(value: unknown): Message {
  const payload = member(value, "p");
  const given = member(value, "h");
  if (payload === undefined || given === undefined) {
    throw new RefusedError(
      "decode",
      "The row is not an Active Record encryption message: p and h are missing.",
    );
  }
  const headers = readHeaders(given);
  if (!ENCODINGS.includes(headers.get("e"))) {
    throw new BrokenMessage("suite", "The row's plaintext has an encoding that Rails does not write.");
  }
  const reference = headers.get("i") ?? null;
  if (reference !== null && typeof reference !== "string") {
    throw new BrokenMessage("decode", "The row's key reference is not text.");
  }
  const dataKey = headers.get("k");
  return {
    ciphertext: part(payload, "ciphertext"),
    iv: part(headers.get("iv"), "iv", IV_BYTES),
    // Node accepts shorter tags, and a tag of four bytes can be guessed.
    tag: part(headers.get("at"), "tag", TAG_BYTES),
    reference,
    dataKey: dataKey === undefined || dataKey === null ? null : readDataKey(dataKey),
    compressed: ![undefined, null, false].includes(headers.get("c") as undefined),
  };
}

function readDataKey(value: unknown): Message {
  if (member(value, "p") === undefined || member(value, "h") === undefined) {
    throw new BrokenMessage("decode", "The row's data key is not a message.");
  }
  const message = readMessage(value);
  if (message.dataKey !== null) throw new BrokenMessage("decode", "The row's data key has its own data key.");
  return message;
}

/** Whether a value has the parts of a message, even with symbols as names. It is then never an unencrypted session. */
export function isShapedAsMessage(value: unknown): boolean {
  return ["p", "h"].every(
    (name) => member(value, name) !== undefined || (value instanceof Map && value.has(RubySymbol.for(name))),
  );
}

function member(hash: unknown, name: string): unknown {
  if (hash instanceof Map) return hash.get(name) as unknown;
  return typeof hash === "object" && hash !== null && Object.hasOwn(hash, name)
    ? (hash as Record<string, unknown>)[name]
    : undefined;
}

function readHeaders(given: unknown): Map<string, unknown> {
  const headers = new Map<string, unknown>();
  const plain =
    given !== null && typeof given === "object" && Object.getPrototypeOf(given) === Object.prototype;
  if (!plain && !(given instanceof Map))
    throw new BrokenMessage("decode", "The row's headers are not a map.");
  for (const [key, value] of given instanceof Map
    ? (given as Map<unknown, unknown>)
    : Object.entries(given)) {
    const name = key instanceof RubySymbol ? key.name : key;
    if (typeof name !== "string") throw new BrokenMessage("decode", "A header of the row has no name.");
    if (headers.has(name)) throw new BrokenMessage("decode", "The row has a duplicate header.");
    headers.set(name, value);
  }
  return headers;
}

/** Bytes, which Rails reads from bin or str. */
function part(value: unknown, what: string, length?: number): Uint8Array {
  const bytes =
    value instanceof Uint8Array
      ? value
      : value instanceof RubyString
        ? value.bytes
        : typeof value === "string"
          ? Buffer.from(value, "utf8")
          : null;
  if (bytes === null)
    throw new BrokenMessage("decode", `The row's ${what} is missing or does not consist of bytes.`);
  if (length !== undefined && bytes.length !== length) {
    throw new BrokenMessage("length", `The row's ${what} is ${bytes.length} bytes instead of ${length}.`);
  }
  return bytes;
}
