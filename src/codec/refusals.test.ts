import { describe, expect, test } from "vitest";
import { RefusedError } from "../errors.ts";
import { Codec, hasLinks } from "./codec.ts";

const codec = new Codec({ maxBytes: 65_536 });
const anonymous = { data: {}, user: undefined, flash: {} };
const authentication = { at: 1, level: "aal2" };
const device = { id: new Uint8Array(16), key: new Uint8Array([48]), at: 2, proofs: 3 };

const text = (value: string) => String.fromCharCode(0xa0 + value.length) + value;
const latin1 = (value: string) => Buffer.from(value, "latin1");

/** A content of the format: an array of three with empty data, then the internal keys. */
function content(format: number, internal: Readonly<Record<string, unknown>>, repeated = ""): Buffer {
  let bytes = "";
  for (const [name, value] of Object.entries(internal))
    bytes += text(name) + Buffer.from(codec.encodeValue(value)).toString("latin1");
  const count = Object.keys(internal).length + (repeated === "" ? 0 : 1);
  return latin1(
    `\x93${String.fromCharCode(format)}\x80${String.fromCharCode(0x80 + count)}${bytes}${repeated}`,
  );
}

function refusal(bytes: Uint8Array): string {
  try {
    codec.decode(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(RefusedError);
    expect((error as RefusedError).reason).toBe("decode");
    return (error as Error).message;
  }
  return "";
}

test("content: internal keys as they are written → read", () => {
  expect(codec.decode(content(2, { u: "1", a: authentication }))).toEqual({
    ...anonymous,
    user: "1",
    authentication,
  });
  expect(codec.decode(content(4, { u: "1", d: device }))).toMatchObject({ user: "1", device });
});

describe("content: what no session has → refused, and the message says what", () => {
  const at = (value: unknown) => content(2, { u: "1", a: { at: value } });
  const bound = (change: object) => content(4, { u: "1", d: { ...device, ...change } });
  const links = (value: unknown) => content(3, { u: "1", a: { at: 1, links: value } });
  const again = (name: string, value: unknown) =>
    text(name) + Buffer.from(codec.encodeValue(value)).toString("latin1");
  test.each<[string, Uint8Array, RegExp]>([
    [
      "two authentications",
      content(2, { u: "1", a: authentication }, again("a", authentication)),
      /duplicated/,
    ],
    ["two devices", content(4, { u: "1", d: device }, again("d", device)), /duplicated/],
    [
      "links of format 2",
      content(2, { u: "1", a: { at: 1, links: { idp: "s" } } }),
      /the links are not valid/,
    ],
    ["format 3 without links", content(3, { u: "1", a: { at: 1 } }), /the links are not valid/],
    ["no link", links({}), /the links are not valid/],
    ["an empty link", links({ idp: "s", other: "" }), /the links are not valid/],
    ["a link that is a number", links({ idp: "s", other: 1 }), /the links are not valid/],
    ["a negative time", at(-1), /the time is not valid/],
    ["a fraction of a time", at(0.5), /the time is not valid/],
    ["a time as text", at("1"), /the time is not valid/],
    ["an empty level", content(2, { u: "1", a: { at: 1, level: "" } }), /the authentication is not valid/],
    ["a foreign part", content(2, { u: "1", a: { at: 1, factor: "x" } }), /the authentication is not valid/],
    [
      "a method that is a number",
      content(2, { u: "1", a: { at: 1, method: 1 } }),
      /authentication is not valid/,
    ],
    ["a short id", bound({ id: new Uint8Array(15) }), /the device binding is not valid/],
    ["an id as text", bound({ id: "0123456789abcdef" }), /the device binding is not valid/],
    ["an empty key", bound({ key: new Uint8Array(0) }), /the device binding is not valid/],
    ["a key as text", bound({ key: "x" }), /the device binding is not valid/],
    ["a negative time of a device", bound({ at: -1 }), /the device binding is not valid/],
    ["a negative count", bound({ proofs: -1 }), /the device binding is not valid/],
    ["a fraction of a count", bound({ proofs: 0.5 }), /the device binding is not valid/],
    ["a count as text", bound({ proofs: "1" }), /the device binding is not valid/],
    ["a foreign part of a device", bound({ other: 1 }), /the device binding is not valid/],
    ["a device of format 2", content(2, { u: "1", a: authentication, d: device }), /internal key is unknown/],
    ["an unknown key in format 4", content(4, { u: "1", d: device, x: 1 }), /internal key is unknown/],
    ["format 2 without a user", content(2, { a: authentication }), /is missing/],
    ["format 2 without an authentication", content(2, { u: "1" }), /is missing/],
    ["format 4 without a device", content(4, { u: "1", a: authentication }), /is missing/],
  ])("content: %s → refused", (_, bytes, message) => {
    expect(refusal(bytes)).toMatch(message);
  });
});

test("content: whether it may hold links → formats 3 and 4 alone", () => {
  const formats = [1, 2, 3, 4, 5].filter((format) => hasLinks(Uint8Array.of(0x93, format)));
  expect(formats).toEqual([3, 4]);
  expect(hasLinks(Uint8Array.of(0x92, 3))).toBe(false);
});
