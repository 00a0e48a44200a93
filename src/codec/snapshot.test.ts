import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Codec, type Content } from "./codec.ts";
import { Snapshot } from "./snapshot.ts";

const codec = new Codec({ maxBytes: 1_048_576 });
type Values = Record<string, any>;

function decoded(data: Values, more: Partial<Content> = {}): { content: Content; snapshot: Snapshot } {
  const bytes = codec.encode({ data, user: undefined, flash: {}, ...more });
  const snapshot = new Snapshot(bytes);
  return { content: codec.decode(bytes, snapshot), snapshot };
}

const sample = {
  n: 1,
  nothing: null,
  yes: true,
  text: "tea",
  zero: -0,
  not: NaN,
  list: [1, [2], { deep: "x" }],
  cart: { sku: "sencha", at: new Date(5) },
  epoch: new Date(0),
  empty: {},
};
const login = {
  user: "42",
  flash: { notice: ["Hello"] },
  authentication: { at: 5, level: "aal2" },
};

describe("a snapshot of a decoded content", () => {
  test("nothing changed → the same, again and again", () => {
    for (const more of [{}, login, { user: "42" }]) {
      const { content, snapshot } = decoded(sample, more);
      for (let time = 0; time < 2; time++) expect(snapshot.isSame(content)).toBe(true);
      expect(codec.encodesTo(content, snapshot.bytes)).toBe(true);
      expect(snapshot.isSame({ ...content })).toBe(true);
    }
  });

  const changes: Record<string, (content: Content & { data: Values }) => void> = {
    "a number": ({ data }) => void (data["n"] = 2),
    "a number as text": ({ data }) => void (data["n"] = "1"),
    "0 for -0": ({ data }) => void (data["zero"] = 0),
    "an element": ({ data }) => void (data["list"][1][0] = 3),
    "one more element": ({ data }) => void data["list"].push(4),
    "one less element": ({ data }) => void data["list"].pop(),
    "a hole": ({ data }) => void delete data["list"][0],
    "a key of an array that is no index": ({ data }) => void (data["list"].extra = 1),
    "a hole and such a key": ({ data }) => {
      delete data["list"][0];
      data["list"].extra = 1;
    },
    "a subclass of Array": ({ data }) =>
      void Object.setPrototypeOf(data["list"], class extends Array {}.prototype),
    "a copy": ({ data }) => void (data["list"] = [...data["list"]]),
    "a deep value": ({ data }) => void (data["list"][2].deep = "y"),
    "a new key": ({ data }) => void (data["more"] = 1),
    "a removed key": ({ data }) => void delete data["n"],
    "another key in its place": ({ data }) => {
      data["full"] = data["empty"];
      delete data["empty"];
    },
    "the order of keys": ({ data }) => {
      const { n } = data;
      delete data["n"];
      data["n"] = n;
    },
    "a symbol as a key": ({ data }) => void (data["cart"][Symbol("s")] = 1),
    "an instance of a class": ({ data }) => void Object.setPrototypeOf(data["cart"], { of: "a class" }),
    "no prototype": ({ data }) => void Object.setPrototypeOf(data["cart"], null),
    "an object that inherits from Date": ({ data }) =>
      void Object.setPrototypeOf(data["empty"], Date.prototype),
    "a Date": ({ data }) => void data["cart"].at.setTime(6),
    "an equal Date": ({ data }) => void (data["epoch"] = new Date(0)),
    "a Date with a key": ({ data }) => void (data["cart"].at.extra = 1),
    "a Date that is no Date any more": ({ data }) =>
      void Object.setPrototypeOf(data["epoch"], Object.prototype),
    "a Date without a prototype": ({ data }) => void Object.setPrototypeOf(data["epoch"], null),
    "a proxy": ({ data }) => void (data["cart"] = new Proxy(data["cart"], {})),
    "the data as a whole": (content) => void (content.data = { ...content.data }),
    "the user": (content) => void (content.user = "43"),
    "a flash message": ({ flash }) => void (flash["notice"] = ["Bye"]),
    "no flash messages": (content) => void (content.flash = {}),
    "the authentication": (content) => void (content.authentication = { at: 6 }),
    "the device": (content) =>
      void (content.device = { id: new Uint8Array(16), key: new Uint8Array(1), at: 5, proofs: 0 }),
  };
  test.each(Object.keys(changes))("%s changed → not the same", (name) => {
    const { content, snapshot } = decoded(sample, login);
    changes[name]!(content);
    expect(snapshot.isSame(content)).toBe(false);
  });

  test.each([
    ["a Map", new Map([["a", 1]])],
    ["a Set of objects", new Set([{ a: 1 }])],
    ["bytes", Uint8Array.of(1)],
    ["a URL", new URL("https://example.com/")],
    ["a bigint", 5n],
  ])("%s in it → unknown, so not the same, wherever it is", (_, value) => {
    for (const { content, snapshot } of [
      decoded({ value, after: 1 }),
      decoded({ before: 1, deep: [{ value }] }),
      decoded({ n: 1 }, { flash: { value } }),
      decoded({ value }, { flash: { n: [1] } }),
    ]) {
      expect(snapshot.isSame(content)).toBe(false);
      expect(codec.encodesTo(content, snapshot.bytes)).toBe(true);
    }
  });

  test("a getter in place of a value → what it returns is compared; what it throws is thrown", () => {
    const { content, snapshot } = decoded({ n: 1, m: 2 });
    Object.defineProperty(content.data, "n", { enumerable: true, configurable: true, get: () => 1 });
    expect(snapshot.isSame(content)).toBe(true);
    const get = () => {
      throw new Error("no");
    };
    Object.defineProperty(content.data, "n", { enumerable: true, get });
    expect(() => snapshot.isSame(content)).toThrow("no");
  });

  test("bytes that were not decoded → not the same", () => {
    const { content } = decoded({ n: 1 });
    expect(new Snapshot(new Uint8Array(0)).isSame(content)).toBe(false);
  });

  test("any content and any change of it → the same only if it encodes to the same bytes", () => {
    const leaf = fc.oneof(
      fc.constantFrom(null, true, 0, -0, 1, 300, "", "a", "ä", 5n),
      fc.date({ noInvalidDate: true }).map((date) => new Date(date)),
      fc.uint8Array({ maxLength: 2 }).map((bytes) => new Uint8Array(bytes)),
    );
    const key = fc.constantFrom("a", "b", "c", "0", "constructor");
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: "small" }, leaf, tie("list"), tie("map")),
      list: fc.array(tie("value"), { maxLength: 3 }),
      map: fc.dictionary(key, tie("value"), { maxKeys: 3, noNullPrototype: true }),
    }));
    const map = fc.dictionary(key, value, { maxKeys: 3, noNullPrototype: true });
    fc.assert(
      fc.property(
        map,
        map,
        fc.array(fc.tuple(fc.nat(20), key, value), { maxLength: 3 }),
        (given, flash, changed) => {
          const { content, snapshot } = decoded(given as Values, { flash: flash as Values });
          const containers: Values[] = [];
          const collect = (one: unknown): void => {
            if (typeof one !== "object" || one === null || one instanceof Uint8Array) return;
            containers.push(one);
            Object.values(one).forEach(collect);
          };
          collect(content.data);
          collect(content.flash);
          for (const [nth, name, next] of changed) {
            const container = containers[nth % containers.length]!;
            if (container instanceof Date) container.setTime(container.getTime() === 5 ? 6 : 5);
            else if (Array.isArray(container)) container[nth % 3] = next;
            else if (nth % 4 === 0) Reflect.deleteProperty(container, name);
            else
              Object.defineProperty(container, name, {
                value: next,
                enumerable: true,
                configurable: true,
                writable: true,
              });
          }
          let isSame = false;
          try {
            isSame = codec.encodesTo(content, snapshot.bytes);
          } catch {
            // a key that is no index, or a cycle
          }
          if (snapshot.isSame(content)) expect(isSame).toBe(true);
          if (changed.length === 0) expect(isSame).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
