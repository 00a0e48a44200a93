import { expect, test } from "vitest";
import { RefusedError, ValueError } from "../../src/errors.ts";
import { createSessionManager } from "../../src/index.ts";
import { decodeRuby } from "../../src/rails/decode.ts";
import { encodeRuby } from "../../src/rails/encode.ts";
import { railsFormat, railsRows, railsStore, RubyFloat, RubyString } from "../../src/rails/index.ts";
import { defaultLimits } from "../../src/rails/messagepack.ts";

const keys = { primaryKey: "one", keyDerivationSalt: "salt", hashDigestClass: "SHA256" } as const;
const loose = { maxBytes: 8_000_000, maxDepth: 99, maxKeys: 100_000 };

const inArrays = (value: unknown, levels: number): unknown =>
  levels === 0 ? value : [inArrays(value, levels - 1)];

test("userOf: a number → text; null → undefined; another value → refused", () => {
  const userOf = ({ user_id }: Readonly<Record<string, unknown>>): never => user_id as never;
  const format = railsFormat({ ...keys, userOf });
  const user = (id: unknown): string | undefined => format.decode(encodeRuby({ user_id: id })).user;
  expect([42, 2n ** 70n, "42", "", null].map(user)).toEqual([
    "42",
    String(2n ** 70n),
    "42",
    undefined,
    undefined,
  ]);
  for (const wrong of [1.5, true, ["42"], { id: 1 }])
    expect(() => user(wrong)).toThrow("userOf requires a user id");
  const content = { data: { user_id: 42 }, user: "42", flash: {} };
  expect(decodeRuby(format.encode(content, null))).toEqual({ user_id: 42 });
});

test("an async userOf → refused, without an unhandled rejection", () => {
  const format = railsFormat({ ...keys, userOf: (async () => Promise.reject(new Error("x"))) as never });
  expect(() => format.decode(encodeRuby({ user_id: 1 }))).toThrow("userOf must be synchronous");
});

test("railsRows: userOf throws on a row → the row is reported, and the others follow", async () => {
  const store = railsStore(":memory:", { createTable: true });
  await store.migrate();
  const format = railsFormat({ ...keys, userOf: ({ warden }) => (warden as number[])[0] });
  const now = Date.now();
  const times = { createdAt: now, updatedAt: now, absoluteExpiresAt: now + 1, expiresAt: now + 1 };
  for (const [version, data] of [{ a: 1 }, { warden: [7] }].entries()) {
    const token = format.mint();
    const row = { id: token.id, version, userRef: null, client: null, ...times, data: new Uint8Array() };
    await store.insert([{ ...row, data: format.seal(encodeRuby(data), row, token) }]);
  }
  const seen = [];
  for await (const { user, refusal } of railsRows(store, format)) seen.push([user, refusal?.reason]);
  expect(seen).toHaveLength(2);
  expect(seen).toContainEqual(["7", undefined]);
  expect(seen).toContainEqual([undefined, "schema"]);
  await store.close();
});

test("the deepest level that can be read → can be written; deeper → neither (R45)", () => {
  const format = railsFormat(keys);
  for (const value of [new RubyFloat(1), new RubyString(Uint8Array.of(0xff)), 2n ** 64n - 1n, 1]) {
    const plaintext = encodeRuby({ a: inArrays(value, 31), n: 1 }, loose);
    const content = format.decode(plaintext);
    content.data["n"] = 2;
    const written = format.encode(content, plaintext);
    expect(format.decode(written).data).toEqual({ ...content.data, n: 2 });
  }
  const deep = { a: inArrays(2n ** 64n, 31) };
  expect(() => decodeRuby(encodeRuby(deep, loose))).toThrow(RefusedError);
  expect(() => encodeRuby(deep, defaultLimits)).toThrow(expect.objectContaining({ limit: "depth" }));
});

test("a flash → the limits of the format, which may be above the usual (R45)", () => {
  const format = railsFormat({ ...keys, maxBytes: 4_000_000 });
  const notice = "x".repeat(1_500_000);
  const plaintext = encodeRuby({ flash: { discard: [], flashes: { notice } } }, loose);
  const content = format.decode(plaintext);
  expect(content.flash).toEqual({ notice });
  expect(Buffer.compare(format.encode(content, plaintext), plaintext)).toBe(0);
  const small = railsFormat({ ...keys, maxBytes: 1_024 });
  const large = { data: {}, user: undefined, flash: { notice } };
  expect(() => small.encode(large, null)).toThrow(expect.objectContaining({ limit: "bytes" }));
});

test("promise 7: session.data holds a value that cannot be stored → a finished update is kept", async () => {
  const store = railsStore(":memory:", { createTable: true });
  await store.migrate();
  const sessions = createSessionManager<Record<string, unknown>>({
    store,
    format: railsFormat(keys),
    cookie: { name: "_my_app_session", persist: false },
  });
  const session = await sessions.load(null);
  session.data["n"] = 0;
  const cookie = (await sessions.commit(session))!.split(";")[0]!;
  session.data["bad"] = () => 1;
  await sessions.update(session, (data) => void (data["n"] = 1));
  await expect(sessions.commit(session)).rejects.toThrow(ValueError);
  delete session.data["bad"];
  await sessions.commit(session);
  expect((await sessions.load(cookie)).data).toEqual({ n: 1 });
  await sessions.close();
});
