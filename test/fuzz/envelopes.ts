/**
 * Mutated, truncated, extended and misplaced envelopes by the million: each must be refused, for the reason that
 * its place in the format gives it. `node test/fuzz/envelopes.ts [count] [seed]`
 */
import { fileURLToPath } from "node:url";
import { type RefusalReason, RefusedError } from "../../src/errors.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import { type SealContext, Sealer } from "../../src/sealing/sealer.ts";

type Mode = "keys" | "cookie" | "client";

/** One sealed value and everything that must stay the same for it to open. */
interface Sealed {
  readonly mode: Mode;
  readonly app: number;
  readonly envelope: Uint8Array;
  readonly context: SealContext;
  readonly sid: Uint8Array;
}

const MODES: readonly Mode[] = ["keys", "cookie", "client"];
const APPS = ["", "shop"];
const HEADER_BYTES = 38;
const OVERHEAD = 54;

/** Integers from 0 to `below - 1`, the same ones for the same seed (Marsaglia's xorshift). */
function generator(seed: number): (below: number) => number {
  // The multiplier spreads small seeds over the state, which must not be zero.
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function same(a: Uint8Array, b: Uint8Array, length: number): boolean {
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/**
 * Mutates valid envelopes, or the rows that they stand in, `count` times. Answers how many were refused for each
 * reason. Everything follows from `seed`, keys and salts too.
 *
 * @throws {Error} naming the seed and the round, when a mutation opens, is refused for a wrong reason, or makes
 * anything else throw
 */
export function fuzzEnvelopes({ count, seed }: { count: number; seed: number }): {
  refused: Record<string, number>;
} {
  const random = generator(seed);
  const randomBytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));
  const newKey = (): string => `ssk1_${Buffer.from(randomBytes(32)).toString("base64url")}`;
  const keys = KeyRing.from([newKey(), newKey()]);
  const older = KeyRing.from(newKey());
  const options = {
    compressAbove: 200,
    maxBytes: 2 ** 16,
    random: (target: Uint8Array, offset: number, length: number) => target.set(randomBytes(length), offset),
  } as const;
  const sealers = APPS.map((app) => ({
    keys: new Sealer({ ...options, app, keys, sealTo: "keys" }),
    cookie: new Sealer({ ...options, app, keys, sealTo: "cookie" }),
  }));
  const sealerOf = (mode: Mode, app: number): Sealer => sealers[app]![mode === "cookie" ? "cookie" : "keys"];

  const corpus: Sealed[] = Array.from({ length: 600 }, (_, index) => {
    const mode = MODES[index % 3]!;
    const app = random(APPS.length);
    const sid = randomBytes(32);
    const context: SealContext = {
      id: randomBytes(32),
      version: mode === "client" ? 0 : random(2 ** 21) * 2 ** 32 + random(2 ** 32),
      createdAt: 1_700_000_000_000 + random(1000),
      absoluteExpiresAt: 1_702_592_000_000 + random(1000),
      userRef: mode === "client" || random(2) === 0 ? null : keys.userRefs(String(random(5)))[0]!,
    };
    const length = [0, 3, random(64), random(300), 300 + random(1500)][index % 5]!;
    const plaintext = random(2) === 0 ? randomBytes(length) : new Uint8Array(length).fill(random(256));
    const sealer = sealerOf(mode, app);
    const envelope =
      mode === "client" ? sealer.sealClient(plaintext, context) : sealer.seal(plaintext, context, sid);
    // A copy, because the envelope is a Buffer, whose slices would share its memory.
    return { mode, app, envelope: Uint8Array.from(envelope), context, sid };
  });
  const pick = (): Sealed => corpus[random(corpus.length)]!;

  const open = ({ mode, app, envelope, context, sid }: Sealed): Uint8Array => {
    const sealer = sealerOf(mode, app);
    return mode === "client" ? sealer.openClient(envelope, context) : sealer.open(envelope, context, sid);
  };

  const bytesMutations: readonly ((sealed: Sealed) => Uint8Array)[] = [
    function flipBits({ envelope }) {
      const copy = envelope.slice();
      for (let times = 1 + random(4); times > 0; times--) copy[random(copy.length)]! ^= 1 << random(8);
      return copy;
    },
    function flipBitOfHeader({ envelope }) {
      const copy = envelope.slice();
      copy[random(HEADER_BYTES)]! ^= 1 << random(8);
      return copy;
    },
    function setBytes({ envelope }) {
      const copy = envelope.slice();
      for (let times = 1 + random(8); times > 0; times--) copy[random(copy.length)] = random(256);
      return copy;
    },
    function otherFlags({ envelope }) {
      const copy = envelope.slice();
      copy[1] = random(8);
      return copy;
    },
    function otherKey({ envelope }) {
      const copy = envelope.slice();
      const ring = random(2) === 0 ? keys.keys[1]! : older.newest;
      new DataView(copy.buffer).setUint32(2, ring.id);
      return copy;
    },
    function cutEnd({ envelope }) {
      return envelope.slice(0, random(envelope.length));
    },
    function cutFewOfEnd({ envelope }) {
      return envelope.slice(0, envelope.length - 1 - random(16));
    },
    function cutStart({ envelope }) {
      return envelope.slice(1 + random(envelope.length - 1));
    },
    function cutOut({ envelope }) {
      const from = random(envelope.length);
      return joined(envelope.subarray(0, from), envelope.subarray(from + 1 + random(20)));
    },
    function extend({ envelope }) {
      const more = 1 + random(40);
      return joined(envelope, random(2) === 0 ? randomBytes(more) : new Uint8Array(more));
    },
    function putIn({ envelope }) {
      const at = random(envelope.length);
      return joined(envelope.subarray(0, at), randomBytes(1 + random(20)), envelope.subarray(at));
    },
    function repeat({ envelope }) {
      return joined(envelope, envelope);
    },
    function splice({ envelope }) {
      const other = pick().envelope;
      const fields = [1, 2, 6, 22, HEADER_BYTES, envelope.length - 16];
      const at = random(2) === 0 ? fields[random(fields.length)]! : random(envelope.length);
      return joined(envelope.subarray(0, at), other.subarray(Math.min(at, other.length)));
    },
    function spliceTail({ envelope }) {
      const other = pick().envelope;
      return joined(envelope.subarray(0, envelope.length - 16), other.subarray(other.length - 16));
    },
    function wholeOther() {
      return pick().envelope;
    },
    function garbage({ envelope }) {
      const noise = randomBytes(random(200));
      return random(2) === 0 ? noise : joined(envelope.subarray(0, random(HEADER_BYTES + 1)), noise);
    },
  ];

  const rowMutations: readonly ((sealed: Sealed) => Partial<Sealed>)[] = [
    ({ context }) => {
      const id = context.id.slice();
      id[random(32)]! ^= 1 << random(8);
      return { context: { ...context, id } };
    },
    ({ context }) => ({ context: { ...context, id: randomBytes(random(40)) } }),
    ({ context }) => ({ context: { ...context, createdAt: edited(context.createdAt) } }),
    ({ context }) => ({ context: { ...context, absoluteExpiresAt: edited(context.absoluteExpiresAt) } }),
    // The seal of the client column covers neither of the next two, nor the cookie.
    ({ mode, context }) =>
      mode === "client" ? {} : { context: { ...context, version: edited(context.version) } },
    ({ mode, context }) =>
      mode === "client" ? {} : { context: { ...context, userRef: otherUser(context) } },
    ({ mode, sid }) => {
      if (mode !== "cookie") return {};
      const other = sid.slice();
      other[random(32)]! ^= 1 << random(8);
      return { sid: other };
    },
    ({ app }) => ({ app: 1 - app }),
    ({ mode }) => ({ mode: MODES[(MODES.indexOf(mode) + 1 + random(2)) % 3]! }),
    () => {
      const { context, sid } = pick();
      return { context, sid };
    },
  ];
  const edited = (value: number): number => {
    const edits = [
      value + 1,
      value - 1,
      value + 2 ** (1 + random(40)),
      value + 0.5,
      -value,
      Number.NaN,
      random(2 ** 32),
    ];
    return edits[random(edits.length)]!;
  };
  const otherUser = ({ userRef }: SealContext): Uint8Array | null => {
    const others = [
      null,
      new Uint8Array(32),
      randomBytes(32),
      randomBytes(random(40)),
      keys.userRefs("x")[1]!,
    ];
    if (userRef !== null)
      others.push(
        userRef.subarray(1),
        userRef.map((byte) => byte ^ 1),
      );
    return others[random(others.length)]!;
  };

  // Ids that were mutated are nobody's, and then whatever was sealed is not for this row.
  const owners = new Map(corpus.map((sealed) => [idOf(sealed), sealed]));

  /** What the format says of these bytes in this row, told from what was sealed for it; null where it must open. */
  const expected = (mutated: Sealed): RefusalReason | null => {
    const owner = owners.get(idOf(mutated));
    const { envelope } = mutated;
    if (envelope.length < OVERHEAD) return "length";
    if (envelope[0] !== 1) return "suite";
    if (envelope[1]! > 3) return "flags";
    const view = new DataView(envelope.buffer, envelope.byteOffset);
    if (!keys.keys.some((key) => key.id === view.getUint32(2))) return "key";
    if (envelope[1]! > 1 !== (mutated.mode === "cookie")) return "mode";
    if (owner === undefined || !sameRow(owner, mutated)) return "commitment";
    if (!same(envelope, owner.envelope, HEADER_BYTES)) return "commitment";
    return sameBytes(envelope, owner.envelope) ? null : "tag";
  };
  const sameRow = (a: Sealed, b: Sealed): boolean =>
    a.app === b.app &&
    a.mode === b.mode &&
    a.context.createdAt === b.context.createdAt &&
    a.context.absoluteExpiresAt === b.context.absoluteExpiresAt &&
    (a.mode === "client" ||
      (a.context.version === b.context.version && sameBytes(a.context.userRef, b.context.userRef))) &&
    (a.mode !== "cookie" || sameBytes(a.sid, b.sid));

  const refused: Record<string, number> = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    for (let round = 0; round < count;) {
      const original = pick();
      let mutated: Sealed = original;
      const kind = random(8);
      if (kind !== 0) {
        const mutate = bytesMutations[random(bytesMutations.length)]!;
        mutated = { ...mutated, envelope: mutate(original) };
      }
      if (kind < 2) mutated = { ...mutated, ...rowMutations[random(rowMutations.length)]!(original) };
      const reason = expected(mutated);
      // Some mutations put back what was there, or a whole other row in its own place; they do not count.
      if (reason === null) continue;
      round++;
      const outcome = attempt(() => open(mutated));
      if (outcome !== reason) {
        Error.stackTraceLimit = stackTraceLimit;
        const bytes = Buffer.from(mutated.envelope).toString("hex");
        const text = `seed ${seed}, round ${round}, ${mutated.mode}: expected ${reason}, but: ${outcome}; ${bytes}`;
        throw new Error(text);
      }
      refused[reason] = (refused[reason] ?? 0) + 1;
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  for (const sealed of corpus) open(sealed);
  return { refused };
}

function attempt(open: () => Uint8Array): string {
  try {
    return `opened, ${open().length} bytes`;
  } catch (error) {
    return error instanceof RefusedError ? error.reason : `threw ${String(error)}`;
  }
}

function idOf({ context }: Sealed): string {
  return Buffer.from(context.id).toString("latin1");
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && same(a, b, a.length);
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const count = Number(process.argv[2] ?? 1_000_000);
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
  console.log(`envelopes: ${count} mutations, seed ${seed}`);
  const started = performance.now();
  const { refused } = fuzzEnvelopes({ count, seed });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`envelopes: all refused in ${seconds} s: ${JSON.stringify(refused)}`);
}
