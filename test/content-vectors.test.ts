import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Codec, type Content } from "../src/codec/codec.ts";
import { RefusedError } from "../src/errors.ts";

interface Vectors {
  contents: { name: string; content: Content; plaintext: string }[];
  refused: { why: string; plaintext: string }[];
}

/** Made by an independent program from docs/formats.md. */
const vectors: Vectors = JSON.parse(
  readFileSync(new URL("./vectors/content-vectors.json", import.meta.url), "utf8"),
);

const codec = new Codec({ maxBytes: 1_000_000 });

test.each(vectors.contents)(
  "content vector: $name → these bytes, and back (R29)",
  ({ content, plaintext }) => {
    const bytes = Buffer.from(plaintext, "hex");
    expect(Buffer.from(codec.encode(content)).toString("hex")).toBe(plaintext);
    expect(codec.decode(bytes)).toEqual(content);
    expect(codec.encodesTo(content, bytes)).toBe(true);
  },
);

test.each(vectors.refused)("content vector: $why → refused (R26)", ({ plaintext }) => {
  expect(() => codec.decode(Buffer.from(plaintext, "hex"))).toThrow(RefusedError);
});

test("content: an authentication without a user → not stored", () => {
  const anonymous = { data: { a: 1 }, user: undefined, flash: {} };
  expect(codec.encode({ ...anonymous, authentication: { at: 1, level: "aal2" } })).toEqual(
    codec.encode(anonymous),
  );
});
