import { Output } from "../codec/output.ts";
import { ValueError } from "../errors.ts";
import { decodeRuby, openRuby, readValue } from "./decode.ts";
import { Encoder, finished, initialSize } from "./encode.ts";
import { defaultLimits, EXT, SIGNATURE, type RubyLimits } from "./messagepack.ts";
import { placeText, type Place } from "./place.ts";
import { refused } from "./reader.ts";
import { RubySymbol } from "./types.ts";

/** A top-level entry of a Rails session: its value and the bytes it was read from. */
export interface RailsEntry {
  readonly value: unknown;
  /** The bytes of key and value in the row. */
  readonly key: Uint8Array;
  readonly raw: Uint8Array;
}

/** The entries of a Rails session. */
export interface RailsSession {
  /** By name. A symbol key reads as its name: `session[:x]` and `session["x"]` are the same in Rails. */
  readonly entries: ReadonlyMap<string, RailsEntry>;
  /** Entries without a name (integer and array keys, `__proto__`): hidden, and written back unchanged. */
  readonly unnamed: readonly Uint8Array[];
}

const NIL = 0xc0;

/**
 * Decodes the plaintext of a row: a Hash or HashWithIndifferentAccess with its signature. nil is an empty session, as
 * in Rails. Decodes every value, so that an invalid row is refused on load (R26).
 * @throws {RefusedError} "decode"
 */
export function decodeSession(plaintext: Uint8Array, limits: RubyLimits = defaultLimits): RailsSession {
  const reader = openRuby(plaintext, limits);
  const entries = new Map<string, RailsEntry>();
  const unnamed: Uint8Array[] = [];
  if (reader.left === 1 && plaintext[plaintext.length - 1] === NIL) return { entries, unnamed };

  let hash = reader;
  let head = reader.head();
  if (head.kind === "ext" && head.code === EXT.indifferentHash) {
    reader.end();
    hash = reader.nested(head.payload);
    head = hash.head();
  }
  if (head.kind !== "map") throw refused("the session is not a Hash.");
  for (let index = 0; index < head.length; index++) {
    const start = hash.offset;
    const name = readValue(hash, 1);
    const key = hash.since(start);
    const middle = hash.offset;
    const value = readValue(hash, 1);
    const raw = hash.since(middle);
    const text = name instanceof RubySymbol ? name.name : name;
    if (typeof text === "string" && text !== "__proto__") entries.set(text, { value, key, raw });
    else unnamed.push(key, raw);
  }
  hash.end();
  return { entries, unnamed };
}

/** Returns the entries as the object that applications see. */
export function sessionObject(session: RailsSession): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, { value }] of session.entries) object[name] = value;
  return object;
}

/**
 * Encodes the data of a session. Unchanged entries are written back byte for byte: if a `loaded` value still encodes to
 * the same bytes, its key and value are copied.
 *
 * A top-level undefined is omitted, and so is null, unless the row contained it: Rails omits nil.
 * @param loaded the plaintext of the row, or its entries; null for a new session
 * @returns null for an empty session, which Rails stores as SQL NULL
 * @throws {ValueError} Ruby has no type for a value
 * @throws {LimitError}
 */
export function encodeSession(
  data: Readonly<Record<string, unknown>>,
  loaded: RailsSession | Uint8Array | null,
  limits: RubyLimits = defaultLimits,
): Uint8Array | null {
  const before = loaded instanceof Uint8Array ? decodeSession(loaded, limits) : loaded;
  const stored = Object.keys(data).filter((name) => data[name] !== undefined);
  const names = new Set(
    stored.filter((name) => data[name] !== null || before?.entries.get(name)?.value === null),
  );
  const kept = [...(before?.entries ?? [])].filter(([name]) => names.has(name));
  const added = [...names].filter((name) => !before?.entries.has(name));
  const unnamed = before?.unnamed ?? [];
  const count = kept.length + added.length + unnamed.length / 2;
  if (count === 0) return null;

  const encoder = innerEncoder(limits);
  encoder.countKeys(count, "data");
  const output = new Output(initialSize);
  output.raw(SIGNATURE);
  output.map(count);
  for (const [name, entry] of kept) {
    const bytes = encoder.bare(data[name], { within: "data", step: name });
    output.raw(entry.key);
    output.raw(isSame(entry.raw, bytes, limits) ? entry.raw : bytes);
  }
  for (const name of added) {
    const place: Place = { within: "data", step: name };
    if (name === "__proto__")
      throw new ValueError(
        placeText(place),
        "data has the key `__proto__`, which is not allowed: it could cause prototype pollution.",
      );
    output.raw(encoder.bare(name, place));
    output.raw(encoder.bare(data[name], place));
  }
  for (const bytes of unnamed) output.raw(bytes);
  return finished(output, limits.maxBytes);
}

/**
 * Returns the bytes that {@link encodeSession} returns for unchanged data. They differ from the row's bytes if another
 * writer used other forms.
 */
export function unchangedSession(
  session: RailsSession,
  limits: RubyLimits = defaultLimits,
): Uint8Array | null {
  const count = session.entries.size + session.unnamed.length / 2;
  if (count === 0) return null;
  const output = new Output(initialSize);
  output.raw(SIGNATURE);
  output.map(count);
  for (const { key, raw } of session.entries.values()) {
    output.raw(key);
    output.raw(raw);
  }
  for (const bytes of session.unnamed) output.raw(bytes);
  return finished(output, limits.maxBytes);
}

/** Whether two values encode to the same bytes. @throws {ValueError} @throws {LimitError} */
export function sameRuby(a: unknown, b: unknown, limits: RubyLimits = defaultLimits): boolean {
  return Buffer.compare(innerEncoder(limits).bare(a, "a"), innerEncoder(limits).bare(b, "b")) === 0;
}

/** An encoder for values one level below the session's own hash. */
function innerEncoder(limits: RubyLimits): Encoder {
  return new Encoder({ ...limits, maxDepth: limits.maxDepth - 1 });
}

/** Whether the bytes in the row encode the same value as `bytes`, possibly in another form. */
function isSame(raw: Uint8Array, bytes: Uint8Array, limits: RubyLimits): boolean {
  if (Buffer.compare(raw, bytes) === 0) return true;
  // The canonical form can be longer, so bound the bytes by the input instead of the limit.
  const loose = { ...limits, maxBytes: Number.MAX_SAFE_INTEGER };
  const canonical = innerEncoder(loose).bare(decodeRuby(Buffer.concat([SIGNATURE, raw]), loose), "data");
  return Buffer.compare(canonical, bytes) === 0;
}
