import * as fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Codec, type Content } from "../codec/codec.ts";
import { changeIn, mergeContent } from "./merge.ts";

const codec = new Codec({ maxBytes: 1_048_576 });

const content = (
  data: Record<string, unknown>,
  flash: Record<string, unknown> = {},
  user?: string,
): Content => ({
  data,
  user,
  flash,
});
const merged = (
  base: Record<string, unknown>,
  mine: Record<string, unknown>,
  theirs: Record<string, unknown>,
) => mergeContent(codec, content(base), content(mine), content(theirs)).data;

describe("promise 2, R39: key by key", () => {
  test("a key that one side added, changed or deleted → as on that side", () => {
    const base = { kept: 1, mine: 1, theirs: 1, mineGone: 1, theirsGone: 1 };
    const mine = { kept: 1, mine: 2, theirs: 1, theirsGone: 1, mineNew: 3 };
    const theirs = { kept: 1, mine: 1, theirs: 2, mineGone: 1, theirsNew: 3 };
    expect(merged(base, mine, theirs)).toStrictEqual({
      kept: 1,
      mine: 2,
      theirs: 2,
      theirsNew: 3,
      mineNew: 3,
    });
  });

  test("both sides changed a key → mine, the later commit, wins", () => {
    expect(merged({ a: 1 }, { a: 2 }, { a: 3 })).toStrictEqual({ a: 2 });
    expect(merged({}, { a: 2 }, { a: 3 })).toStrictEqual({ a: 2 });
    expect(merged({ a: 1 }, {}, { a: 3 })).toStrictEqual({});
    expect(merged({ a: 1 }, { a: 2 }, {})).toStrictEqual({ a: 2 });
    expect(merged({ a: 1 }, {}, {})).toStrictEqual({});
  });

  test("equal values in other objects → no change", () => {
    const at = (time: number) => ({ a: { at: new Date(time) }, b: new Map([["x", new Set([time])]]) });
    expect(merged(at(1), at(1), at(2))).toStrictEqual(at(2));
    expect(merged(at(1), at(2), at(1))).toStrictEqual(at(2));
  });

  test("a change inside a value → the whole value counts", () => {
    expect(merged({ a: { x: 1, y: 1 } }, { a: { x: 2, y: 1 } }, { a: { x: 1, y: 2 } })).toStrictEqual({
      a: { x: 2, y: 1 },
    });
  });

  test("undefined → a key that is absent", () => {
    expect(merged({ a: 1, b: 1 }, { a: undefined, b: 1 }, { a: 1, b: undefined })).toStrictEqual({});
    expect(merged({}, { a: undefined }, { a: 1 })).toStrictEqual({ a: 1 });
    expect(merged({ a: null }, { a: undefined }, { a: null })).toStrictEqual({});
  });

  test("the same value on both sides → mine, because the application may hold on to it", () => {
    const mine = { kept: [1], changed: [2], mineOnly: [2] };
    const result = merged({ kept: [1], changed: [1], mineOnly: [1] }, mine, {
      kept: [1],
      changed: [2],
      mineOnly: [1],
    });
    for (const key of ["kept", "changed", "mineOnly"] as const) expect(result[key]).toBe(mine[key]);
  });

  test("order → the keys of theirs, then the new ones of mine", () => {
    expect(
      Object.keys(merged({ a: 1, b: 1 }, { n: 1, b: 2, a: 1, m: 1 }, { z: 1, b: 1, a: 1 })),
    ).toStrictEqual(["z", "b", "a", "n", "m"]);
  });

  test("R46: keys that objects inherit → ordinary keys", () => {
    const mine = JSON.parse('{"__proto__": {"admin": true}, "constructor": 1}') as Record<string, unknown>;
    const result = merged({}, mine, { toString: 2 });
    expect(Object.entries(result)).toStrictEqual([
      ["toString", 2],
      ["__proto__", { admin: true }],
      ["constructor", 1],
    ]);
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect((result as { admin?: boolean }).admin).toBe(undefined);
    expect(merged({}, {}, mine)).toStrictEqual(mine);
  });
});

describe("flash and user", () => {
  test("flash → merged name by name", () => {
    const result = mergeContent(
      codec,
      content({}, { a: 1, b: 1, c: 1 }),
      content({}, { b: 1, c: 2, d: 1 }),
      content({}, { a: 1, b: 2, c: 3, e: 1 }),
    );
    expect(result).toStrictEqual(content({}, { b: 2, c: 2, e: 1, d: 1 }));
  });

  test("flash: I took a message, and theirs is a newer one of the same name → theirs stays", () => {
    const [base, mine, theirs] = [content({}, { a: 1 }), content({}, {}), content({}, { a: 2 })];
    expect(mergeContent(codec, base, mine, theirs).flash).toStrictEqual({ a: 2 });
  });

  test("flash: the same messages in the same order → my object; any difference → a new one", () => {
    const mine = content({}, { a: 1, b: 2 });
    const flashOf = (theirs: Content["flash"]) => mergeContent(codec, mine, mine, content({}, theirs)).flash;
    expect(flashOf({ a: 1, b: 2 })).toBe(mine.flash);
    const others = [{ b: 2, a: 1 }, { a: 1 }, { a: 1, b: 2, c: 3 }, { a: 1, b: 3 }, { a: 1, c: 2 }];
    for (const theirs of others) {
      const flash = flashOf(theirs as never);
      expect(flash).not.toBe(mine.flash);
      expect(Object.entries(flash)).toStrictEqual(Object.entries(theirs));
    }
  });

  test.each<[string | undefined, string | undefined, string | undefined, string | undefined]>([
    [undefined, undefined, undefined, undefined],
    [undefined, undefined, "2", "2"],
    [undefined, "1", undefined, "1"],
    ["1", "1", undefined, undefined],
    ["1", undefined, "1", undefined],
    ["1", undefined, "2", undefined],
    ["1", "2", "3", "2"],
    ["1", "2", undefined, "2"],
  ])("user: %s, mine %s, theirs %s → %s", (base, mine, theirs, user) => {
    const result = mergeContent(codec, content({}, {}, base), content({}, {}, mine), content({}, {}, theirs));
    expect(result.user).toBe(user);
  });
});

describe("onConflict", () => {
  const ask = (
    base: Record<string, unknown>,
    mine: Record<string, unknown>,
    theirs: Record<string, unknown>,
    answer: unknown,
  ) => {
    const onConflict = vi.fn(
      (_conflict: { key: string; base: unknown; mine: unknown; theirs: unknown }) => answer,
    );
    const { data } = mergeContent(codec, content(base), content(mine), content(theirs), onConflict);
    return { data, calls: onConflict.mock.calls.map(([conflict]) => conflict) };
  };

  test("both sides changed a key differently → its result is the value", () => {
    expect(ask({ a: 1, b: 1 }, { a: 2, b: 1 }, { a: 3, b: 2 }, 5)).toStrictEqual({
      data: { a: 5, b: 2 },
      calls: [{ key: "a", base: 1, mine: 2, theirs: 3 }],
    });
    expect(ask({ a: 1 }, {}, { a: 3 }, 0)).toStrictEqual({
      data: { a: 0 },
      calls: [{ key: "a", base: 1, mine: undefined, theirs: 3 }],
    });
    expect(ask({ a: 1 }, { a: 2 }, {}, null)).toStrictEqual({
      data: { a: null },
      calls: [{ key: "a", base: 1, mine: 2, theirs: undefined }],
    });
    expect(ask({}, { constructor: 2 }, { constructor: 3 }, 4)).toStrictEqual({
      data: { constructor: 4 },
      calls: [{ key: "constructor", base: undefined, mine: 2, theirs: 3 }],
    });
  });

  test("undefined → the key is deleted", () => {
    expect(Object.keys(ask({ a: 1 }, { a: 2 }, { a: 3, b: 1 }, undefined).data)).toStrictEqual(["b"]);
  });

  test("only one side changed, or both in the same way → not called", () => {
    const { calls, data } = ask(
      { mine: 1, theirs: 1, same: 1, gone: 1, kept: [1] },
      { mine: 2, theirs: 1, same: { x: 2 }, kept: [1], added: [1] },
      { mine: 1, theirs: 2, same: { x: 2 }, kept: [1], added: [1] },
      "asked",
    );
    expect(calls).toStrictEqual([]);
    expect(data).toStrictEqual({ mine: 2, theirs: 2, same: { x: 2 }, kept: [1], added: [1] });
  });

  test("flash and user → not called", () => {
    const onConflict = vi.fn(() => "asked");
    const result = mergeContent(
      codec,
      content({}, { n: 1 }, "1"),
      content({}, { n: 2 }, "2"),
      content({}, { n: 3 }, "3"),
      onConflict,
    );
    expect(result).toStrictEqual(content({}, { n: 2 }, "2"));
    expect(onConflict).not.toHaveBeenCalled();
  });

  test("R43: it throws → the error propagates", () => {
    const refused = new Error("choose yourself");
    const throws = () => {
      throw refused;
    };
    expect(() =>
      mergeContent(codec, content({ a: 1 }), content({ a: 2 }), content({ a: 3 }), throws),
    ).toThrow(refused);
  });
});

describe("properties", () => {
  const key = fc.constantFrom("a", "b", "c", "d", "constructor", "toString", "__proto__", "7");
  const value = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.array(fc.integer({ min: 0, max: 1 })),
    fc.date({ noInvalidDate: true }),
  );
  const record = fc.dictionary(key, value, { noNullPrototype: true });
  const any = fc.record({
    data: record,
    flash: record,
    user: fc.constantFrom(undefined, "1", "2"),
  }) as fc.Arbitrary<Content>;
  const sorted = ({ data, user, flash }: Content) => ({
    data: Object.entries(data).toSorted(),
    user,
    flash: Object.entries(flash).toSorted(),
  });

  test("mine over what was loaded → mine; no change of mine → theirs", () => {
    fc.assert(
      fc.property(any, any, (base, changed) => {
        expect(sorted(mergeContent(codec, base, changed, base))).toStrictEqual(sorted(changed));
        expect(sorted(mergeContent(codec, base, base, changed))).toStrictEqual(sorted(changed));
        expect(sorted(mergeContent(codec, base, changed, changed))).toStrictEqual(sorted(changed));
      }),
    );
  });

  test("changes to different keys → all survive, and the inputs stay as they were", () => {
    fc.assert(
      fc.property(
        record,
        record,
        fc.dictionary(fc.constantFrom("x", "y", "__proto__x"), value),
        (base, mine, theirs) => {
          // theirs changes keys that base and mine do not have
          const contents = [content(base), content(mine), content({ ...base, ...theirs })] as const;
          const before = structuredClone(contents.map(sorted));
          const { data } = mergeContent(codec, ...contents);
          expect(sorted(content(data))).toStrictEqual(sorted(content(withAll(mine, theirs))));
          expect(contents.map(sorted)).toStrictEqual(before);
        },
      ),
    );
  });

  function withAll(...sources: Record<string, unknown>[]): Record<string, unknown> {
    return Object.fromEntries(sources.flatMap((source) => Object.entries(source)));
  }
});

describe("changeIn: one change for many stored contents", () => {
  const base = content({ kept: 1, changed: 1, gone: 1 }, { seen: "a" }, "1");
  const mine = content({ kept: 1, changed: 2, added: 3 }, { shown: "b" }, "1");

  test("other keys were stored meanwhile → they stay, in the object that was given", () => {
    const theirs = content({ kept: 9, changed: 1, gone: 1, theirs: 4 }, { seen: "a", new: "c" }, "1");
    const { data, flash } = theirs;
    expect(changeIn(codec, base, mine)(theirs)).toBe(theirs);
    expect(theirs.data).toBe(data);
    expect(theirs.flash).toBe(flash);
    expect(theirs).toStrictEqual(
      content({ kept: 9, changed: 2, theirs: 4, added: 3 }, { new: "c", shown: "b" }, "1"),
    );
  });

  test("the same key was stored meanwhile → onConflict decides, and may delete it", () => {
    const theirs = () => content({ kept: 1, changed: 7, gone: 1 }, {}, "1");
    expect(changeIn(codec, base, mine)(theirs()).data["changed"]).toBe(2);
    const asked = vi.fn<(conflict: unknown) => unknown>(() => undefined);
    expect(changeIn(codec, base, mine, asked)(theirs()).data).not.toHaveProperty("changed");
    expect(asked).toHaveBeenCalledWith({ key: "changed", base: 1, mine: 2, theirs: 7 });
  });

  test("R46: a key named like a prototype's member → a value of the object's own", () => {
    const change = changeIn(codec, content({}), content(JSON.parse('{"__proto__":{"a":1},"constructor":2}')));
    const { data } = change(content({}));
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    expect(Object.entries(data)).toStrictEqual([
      ["__proto__", { a: 1 }],
      ["constructor", 2],
    ]);
    expect(Object.getOwnPropertyNames(change(content(data)).data)).toStrictEqual([
      "__proto__",
      "constructor",
    ]);
  });

  test("any contents → what mergeContent makes of them", () => {
    const values = fc.dictionary(fc.constantFrom("a", "b", "c", "__proto__"), fc.integer({ min: 0, max: 2 }));
    const any = fc.record({ data: values, flash: values, user: fc.constantFrom(undefined, "1") });
    const sorted = ({ data, flash, user }: Content) => [
      Object.entries(data).toSorted(),
      Object.entries(flash).toSorted(),
      user,
    ];
    fc.assert(
      fc.property(any, any, any, (one, two, three) => {
        const expected = sorted(mergeContent(codec, one, two, three));
        expect(sorted(changeIn(codec, one, two)(structuredClone(three)))).toStrictEqual(expected);
      }),
    );
  });

  test("a key that I did not change → theirs keeps its own object", () => {
    const theirs = content({ kept: [1], changed: [1] });
    const { kept } = theirs.data;
    const loaded = content({ kept: [1], changed: [1] });
    const { data } = changeIn(codec, loaded, content({ kept: [1], changed: [2] }))(theirs);
    expect(data).toStrictEqual({ kept: [1], changed: [2] });
    expect(data["kept"]).toBe(kept);
  });

  test("a format that keeps the flash in its data → merged as a whole", () => {
    const write = vi.fn<(data: Record<string, unknown>, flash: Record<string, unknown>) => void>();
    const format = { same: codec.same.bind(codec), flashInData: { key: "flash", agree: () => {}, write } };
    const theirs = content({ flash: { old: 1 } }, { old: 1 });
    const result = changeIn(format, content({}), content({}, { new: 2 }))(theirs);
    expect(result.flash).toStrictEqual({ old: 1, new: 2 });
    expect(write).toHaveBeenCalledWith(result.data, result.flash);
  });
});

describe("a format that keeps the flash under a key of its data", () => {
  const write = vi.fn<(data: Record<string, unknown>, flash: Record<string, unknown>) => void>();
  const format = { same: codec.same.bind(codec), flashInData: { key: "flash", agree: () => {}, write } };
  const onConflict = vi.fn<() => unknown>(() => "decided");
  const merge = (base: Content, mine: Content, theirs: Content): Content =>
    mergeContent(format, base, mine, theirs, onConflict);
  beforeEach(() => void vi.clearAllMocks());

  test("both sides changed it → the key stays as in theirs until the merged flash is written, without onConflict", () => {
    const theirs = content({ flash: { b: 1 }, other: 1 }, { b: 1 });
    const result = merge(content({ flash: {} }), content({ flash: { a: 1 } }, { a: 1 }), theirs);
    expect(result.flash).toStrictEqual({ b: 1, a: 1 });
    expect(result.data).toStrictEqual({ flash: { b: 1 }, other: 1 });
    expect(write.mock.calls).toStrictEqual([[result.data, result.flash]]);
    expect(onConflict).not.toHaveBeenCalled();
  });

  test("both sides changed another key → onConflict decides", () => {
    expect(merge(content({ a: 1 }), content({ a: 2 }), content({ a: 3 })).data).toStrictEqual({
      a: "decided",
    });
  });

  test("a message of the same name as the key → merged like any message", () => {
    const result = merge(content({}), content({}, { flash: 1 }), content({}, { b: 1 }));
    expect(result.flash).toStrictEqual({ b: 1, flash: 1 });
  });

  test("the flash is that of theirs → not written", () => {
    const theirs = content({ flash: { a: 1, b: 2 } }, { a: 1, b: 2 });
    merge(content({}), content({ n: 1 }), theirs);
    expect(write).not.toHaveBeenCalled();
  });

  test.each<[string, Content["flash"], Content["flash"], Content["flash"]]>([
    ["one message fewer", { a: 1, b: 2 }, { b: 2 }, { a: 1, b: 2 }],
    ["one message more", { a: 1 }, { a: 1, b: 2 }, { a: 1 }],
    ["another value", { a: 1 }, { a: 2 }, { a: 1 }],
    ["another name", { a: 1 }, { b: 1 }, { a: 1 }],
  ])("the merged flash has %s → written", (_difference, base, mine, theirs) => {
    const result = merge(content({}, base), content({}, mine), content({}, theirs));
    expect(write.mock.calls).toStrictEqual([[result.data, mine]]);
  });
});

describe("R58: the authentication is one value, and belongs to one user", () => {
  const of = (user: string | undefined, level?: string): Content => ({
    ...content({}, {}, user),
    ...(level !== undefined && { authentication: { at: 1, level } }),
  });

  test.each([
    ["only mine changed it → mine", of("1"), of("1", "mine"), of("1"), "mine"],
    ["only theirs changed it → theirs", of("1"), of("1"), of("1", "theirs"), "theirs"],
    ["both changed it → mine, the later commit", of("1", "old"), of("1", "mine"), of("1", "theirs"), "mine"],
    ["I removed it → none", of("1", "old"), of("1"), of("1", "old"), undefined],
    ["they logged in another user → theirs, never mine", of("1"), of("1", "mine"), of("2"), undefined],
    ["they logged in and elevated another user → theirs", of("1"), of("1"), of("2", "theirs"), "theirs"],
    ["I logged in another user → mine, never theirs", of("1"), of("2"), of("1", "theirs"), undefined],
    ["I logged out → none", of("1", "old"), of(undefined), of("1", "theirs"), undefined],
  ])("%s", (_name, base, mine, theirs, level) => {
    expect(mergeContent(codec, base, mine, theirs).authentication?.level).toBe(level);
    expect(changeIn(codec, base, mine)(structuredClone(theirs)).authentication?.level).toBe(level);
  });
});

describe("device binding", () => {
  const device = (proofs: number) => ({ id: new Uint8Array(16), key: new Uint8Array([7]), at: 1, proofs });
  const bound = (user: string | undefined, proofs?: number): Content => ({
    data: {},
    user,
    flash: {},
    ...(proofs !== undefined && { device: device(proofs) }),
  });

  test.each([
    ["another request refreshed it", bound("1", 0), bound("1", 0), bound("1", 1), 1],
    ["this one did", bound("1", 0), bound("1", 1), bound("1", 0), 1],
    ["another request bound it", bound("1"), bound("1"), bound("1", 0), 0],
    ["a login ended it here", bound("1", 0), bound("1"), bound("1", 1), undefined],
    ["another user logged in here", bound("1", 0), bound("2", 0), bound("1", 1), undefined],
    ["neither changed it", bound("1", 3), bound("1", 3), bound("1", 3), 3],
  ])("%s → the binding of that side, and never that of another user", (_, base, mine, theirs, expected) => {
    expect(mergeContent(codec, base, mine, theirs).device?.proofs).toBe(expected);
    expect(changeIn(codec, base, mine)(structuredClone(theirs)).device?.proofs).toBe(expected);
  });

  test("another binding, time, key or count → a change", () => {
    const [base, theirs] = [bound("1", 0), bound("1", 9)];
    const others = [
      { ...device(0), id: new Uint8Array(16).fill(1) },
      { ...device(0), key: new Uint8Array([8]) },
      { ...device(0), at: 2 },
      device(1),
    ];
    for (const other of others)
      expect(mergeContent(codec, base, { ...base, device: other }, theirs).device).toStrictEqual(other);
  });
});
