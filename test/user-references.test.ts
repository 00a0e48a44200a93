import { createHmac, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { KeyRing } from "../src/sealing/keyring.ts";

interface Vector {
  readonly masterKey: string;
  readonly app: string;
  readonly user: string;
  readonly userKey: string;
  readonly reference: string;
}

const { references } = JSON.parse(
  readFileSync(new URL("vectors/user-references.json", import.meta.url), "utf8"),
) as { references: Vector[] };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe.each(references)("user reference of $user in application '$app'", (vector) => {
  const master = Buffer.from(vector.masterKey, "hex");

  test("by the format's description, with the runtime's own HKDF → the vector (R29)", () => {
    const info = Buffer.concat([Buffer.from("stored-session/v1/user\0"), Buffer.from(vector.app)]);
    const key = Buffer.from(hkdfSync("sha512", master, "stored-session/v1", info, 32));
    expect(hex(key)).toBe(vector.userKey);
    expect(createHmac("sha256", key).update(vector.user).digest("hex")).toBe(vector.reference);
  });

  test("by this package → the vector (R29)", () => {
    const keys = KeyRing.from(`ssk1_${master.toString("base64url")}`);
    expect(hex(keys.userRef(vector.user, vector.app))).toBe(vector.reference);
    expect(keys.userRefs(vector.user, vector.app).map(hex)).toEqual([vector.reference]);
  });
});

test("user reference: no name, and the empty one → the same reference", () => {
  const keys = KeyRing.from(`ssk1_${Buffer.alloc(32, 1).toString("base64url")}`);
  expect(keys.userRef("42")).toEqual(keys.userRef("42", ""));
});

test("user reference: another user, application or key → another reference", () => {
  expect(new Set(references.map(({ reference }) => reference)).size).toBe(references.length);
});

test("user reference: the vector in docs/formats.md → is one of these", () => {
  const page = readFileSync(new URL("../docs/formats.md", import.meta.url), "utf8");
  const vector = references.find(
    ({ app, user, masterKey }) => app === "shop" && user === "42" && /^(01)+$/.test(masterKey),
  )!;
  expect(page).toContain(`K          ${vector.userKey}\nuser_ref   ${vector.reference}\n`);
});
