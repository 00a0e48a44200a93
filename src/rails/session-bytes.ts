import { Output } from "../codec/output.ts";
import { ValueError } from "../errors.ts";
import { decodeRuby, openRuby, readValue } from "./decode.ts";
import { Encoder, finished, initialSize } from "./encode.ts";
import { defaultLimits, EXT, SIGNATURE, type RubyLimits } from "./messagepack.ts";
import { placeText, type Place } from "./place.ts";
import { refused } from "./reader.ts";
import { RubySymbol } from "./types.ts";

/** One top-level key of a Rails session, as its value and as the bytes it was read from. */
export interface RailsEntry {
  readonly value: unknown;
  /** The key's bytes and the value's, as the row holds them. */
  readonly key: Uint8Array;
  readonly raw: Uint8Array;
}

/** A Rails session taken apart. */
export interface RailsSession {
  /** By name: a symbol key reads as its name, as Rails' `session[:x]` and `session["x"]` are one. */
  readonly entries: ReadonlyMap<string, RailsEntry>;
  /** Keys that no name stands for (integers, arrays, `__proto__`): not shown, and given back as they came. */
  readonly unnamed: readonly Uint8Array[];
}

const NIL = 0xc0;

/**
 * Takes the plaintext of a row apart: a Hash or HashWithIndifferentAccess with its signature. nil is an empty
 * session, as in Rails. Every value is decoded, so that a row is refused when it is loaded and not later (R26).
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
  if (head.kind !== "map") throw refused("the session is no Hash.");
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

/** The entries as the object that applications see. */
export function sessionObject(session: RailsSession): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, { value }] of session.entries) object[name] = value;
  return object;
}

/**
 * The plaintext of a session's data. What the application did not change goes back byte for byte: of each key that
 * was `loaded` and whose value still encodes as its bytes' own value does, key and value are copied.
 *
 * A value of undefined at the top level is left out, and null unless the row had it: Rails leaves out nil.
 * @param loaded the plaintext that the row held, or its parts; null for a new session
 * @returns null for a session without anything in it, which Rails stores as SQL NULL
 * @throws {ValueError} a value that Ruby has no type for
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
    if (name === "__proto__") throw new ValueError(placeText(place), "data has a key named __proto__.");
    output.raw(encoder.bare(name, place));
    output.raw(encoder.bare(data[name], place));
  }
  for (const bytes of unnamed) output.raw(bytes);
  return finished(output, limits.maxBytes);
}

/**
 * The bytes that {@link encodeSession} gives for what was loaded when nothing in it changed. They differ from those
 * of the row where another writer chose another form.
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

/** Whether two values are stored as the same bytes. @throws {ValueError} @throws {LimitError} */
export function sameRuby(a: unknown, b: unknown, limits: RubyLimits = defaultLimits): boolean {
  return Buffer.compare(innerEncoder(limits).bare(a, "a"), innerEncoder(limits).bare(b, "b")) === 0;
}

/** For values one level below the session's own hash. */
function innerEncoder(limits: RubyLimits): Encoder {
  return new Encoder({ ...limits, maxDepth: limits.maxDepth - 1 });
}

/** Whether the bytes in the row mean what `bytes` say, be it in a form that only another writer would choose. */
function isSame(raw: Uint8Array, bytes: Uint8Array, limits: RubyLimits): boolean {
  if (Buffer.compare(raw, bytes) === 0) return true;
  // A short form can have a longer canonical one, so the bytes are bounded by what was read and not by the limit.
  const loose = { ...limits, maxBytes: Number.MAX_SAFE_INTEGER };
  const canonical = innerEncoder(loose).bare(decodeRuby(Buffer.concat([SIGNATURE, raw]), loose), "data");
  return Buffer.compare(canonical, bytes) === 0;
}
