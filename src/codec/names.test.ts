import { expect, test } from "vitest";
import { Codec } from "./codec.ts";
import { keepName, keptName } from "./names.ts";

const codec = new Codec({ maxBytes: 1_048_576 });
const within = (text: string) => Buffer.from(`<${text}>`);

function kept(text: string): string | undefined {
  return keptName(within(text), 1, text.length + 1);
}

test("a key that was read → found until another takes its slot", () => {
  expect(kept("uniqueName")).toBeUndefined();
  keepName("uniqueName", within("uniqueName"), 1, 11);
  expect(kept("uniqueName")).toBe("uniqueName");
  // neither the second nor the third character has a part in choosing the slot
  expect(kept("uNiqueName")).toBeUndefined();
  keepName("uNiqueName", within("uNiqueName"), 1, 11);
  expect(kept("uNiqueName")).toBe("uNiqueName");
  expect(kept("uniqueName")).toBeUndefined();
});

test("keys that share a slot, or differ in one character → kept apart", () => {
  const names = ["abcde", "aXcde", "abcXe", "aXcXe", "abcdX", "abXde", "Xbcde", "abcd", "abcdef"];
  const object = Object.fromEntries(names.map((name, index) => [name, index]));
  for (let round = 0; round < 3; round++) {
    expect(Object.entries(codec.clone(object))).toStrictEqual(Object.entries(object));
    for (const name of names) expect(codec.clone({ [name]: 1 })).toStrictEqual({ [name]: 1 });
  }
});

test.each([1, 11, 12, 13, 31, 32])("keys of %i bytes, read repeatedly → equal each time", (length) => {
  for (const key of ["k".repeat(length), "é".repeat(length / 2), `${"k".repeat(length - 1)}\u007f`]) {
    for (let round = 0; round < 3; round++) expect(codec.clone({ [key]: 1 })).toStrictEqual({ [key]: 1 });
  }
});

test("text that is not a key → not kept", () => {
  codec.decode(codec.encode({ data: { text: "mySecret" }, user: "user-0815", flash: { text: "aNotice" } }));
  for (const text of ["mySecret", "user-0815", "aNotice"]) expect(kept(text)).toBeUndefined();
  expect(kept("text")).toBe("text");
});
