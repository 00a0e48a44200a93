/**
 * Random values must come back equal. Mutated, cut, spliced and random bytes must be refused, or be a value of their
 * own: one that is stored in as many bytes and comes back equal. Nothing else may happen.
 * `node test/fuzz/codec.ts [count] [seed]`
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Codec, type Content } from "../../src/codec/codec.ts";
import { RefusedError } from "../../src/errors.ts";

const codec = new Codec({ maxBytes: 65_536 });

interface Outcome {
  /** Random contents that came back equal. */
  equal: number;
  /** Changed bytes that were read, as another content. */
  read: number;
  /** Changed bytes that were refused. */
  refused: number;
}

type Random = (below: number) => number;

/** Integers from 0 to `below - 1`, the same ones for the same seed (Marsaglia's xorshift). */
function generator(seed: number): Random {
  // the multiplier spreads small seeds over the state, which must not be zero
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const characters = [
  "a",
  "Z",
  "0",
  " ",
  '"',
  "\0",
  "\u007f",
  "\u0080",
  "\u07ff",
  "\u0800",
  "\ufeff",
  "\uffff",
  "\u{10000}",
  "\u{1f375}",
];
const keys = ["a", "sku", "at", "constructor", "toString", "7", "", "two words", "k".repeat(40)];
const numbers = [0, -0, NaN, Infinity, -Infinity, 0.1, 5e-324, Number.MAX_VALUE, 2 ** 53, -(2 ** 53)];
const links = ["https://example.com/a?b=c#d", "data:text/plain,tea", "http://[::1]/", "urn:isbn:1"];

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function randomText(random: Random): string {
  const length = random(20) === 0 ? random(400) : random(12);
  return times(length, () => characters[random(characters.length)]).join("");
}

function randomInteger(random: Random): number {
  return (random(2) === 0 ? 1 : -1) * Math.floor(2 ** random(53) + random(3) - 1);
}

function randomValue(random: Random, depth: number): unknown {
  const several = () => (random(30) === 0 ? 16 + random(20) : random(4));
  const inner = () => randomValue(random, depth + 1);
  switch (random(depth < 4 ? 14 : 10)) {
    case 0:
      return null;
    case 1:
      return random(2) === 0;
    case 2:
      return numbers[random(numbers.length)];
    case 3:
      return randomInteger(random);
    case 4:
      return random(2 ** 32) / 1000;
    case 5:
      return randomText(random);
    case 6:
      return new Uint8Array(times(random(10) === 0 ? random(400) : random(8), () => random(256)));
    case 7:
      return new Date(Math.max(-8.64e15, Math.min(8.64e15, randomInteger(random))));
    case 8:
      return BigInt(randomInteger(random)) ** BigInt(random(9));
    case 9:
      return new URL(links[random(links.length)]!);
    case 10:
      return times(several(), inner);
    case 11:
      return new Set(times(several(), inner));
    case 12:
      return new Map(times(several(), () => [inner(), inner()]));
    default:
      return randomObject(random, depth);
  }
}

function randomObject(random: Random, depth: number): Record<string, unknown> {
  const key = () => (random(2) === 0 ? keys[random(keys.length)]! : randomText(random));
  return Object.fromEntries(times(random(5), () => [key(), randomValue(random, depth + 1)]));
}

function randomContent(random: Random): Content {
  return {
    data: randomObject(random, 0),
    user: random(2) === 0 ? undefined : `u${randomText(random)}`,
    flash: random(2) === 0 ? {} : randomObject(random, 1),
  };
}

/** Other bytes, made from two contents. */
function changed(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = random(bytes.length);
  switch (random(7)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random(other.length))]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([random(256)]), bytes.subarray(at)]);
    case 4:
      return Buffer.concat([
        Buffer.from("9281a161", "hex"),
        Buffer.from(times(random(12), () => random(256))),
        Buffer.from([0x80]),
      ]);
    default: {
      const copy = Uint8Array.from(bytes);
      for (let left = 1 + random(3); left > 0; left--) copy[random(copy.length)] = random(256);
      return copy;
    }
  }
}

function refuses(bytes: Uint8Array): Content | null {
  try {
    return codec.decode(bytes);
  } catch (error) {
    if (error instanceof RefusedError && error.reason === "decode") return null;
    throw error;
  }
}

/**
 * Tries `count` random contents and as many changes to their bytes.
 * @throws {Error} the seed, the number and the bytes of the first that goes wrong
 */
export function fuzzCodec({ count, seed }: { count: number; seed: number }): Outcome {
  const random = generator(seed);
  const outcome: Outcome = { equal: 0, read: 0, refused: 0 };
  let other = codec.encode({ data: { a: [1] }, user: "1", flash: { n: 1 } });
  for (let index = 0; index < count; index++) {
    let bytes = other;
    try {
      const content = randomContent(random);
      bytes = codec.encode(content);
      assert.deepStrictEqual(codec.decode(bytes), content);
      outcome.equal++;

      const before = bytes;
      bytes = changed(random, before, other);
      other = before;
      const read = refuses(bytes);
      if (read === null) {
        outcome.refused++;
        continue;
      }
      const again = codec.encode(read);
      assert.equal(again.length, bytes.length);
      assert.deepStrictEqual(codec.decode(again), read);
      outcome.read++;
    } catch (cause) {
      throw new Error(`seed ${seed}, number ${index}, bytes ${Buffer.from(bytes).toString("hex")}`, {
        cause,
      });
    }
  }
  return outcome;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const count = Number(process.argv[2] ?? 1_000_000);
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
  console.log(`fuzz of the codec, ${count} contents, seed ${seed}`);
  console.log(fuzzCodec({ count, seed }));
}
