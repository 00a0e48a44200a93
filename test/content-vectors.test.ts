import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Codec, type Content } from "../src/codec/codec.ts";
import { RefusedError } from "../src/errors.ts";

interface Vectors {
  contents: { name: string; content: VectorContent; plaintext: string }[];
  refused: { why: string; plaintext: string }[];
}

/** A device binding in the file: its bytes are hexadecimal. */
interface Hexadecimal {
  id: string;
  key: string;
}

type VectorContent = Omit<Content, "device"> & { device?: Hexadecimal };

function contentOf(vector: VectorContent): Content {
  const { device, ...content } = vector;
  if (device === undefined) return content;
  const bytes = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
  return {
    ...content,
    device: { ...(device as object), id: bytes(device.id), key: bytes(device.key) } as never,
  };
}

/** Made by an independent program from docs/formats.md. */
const vectors: Vectors = JSON.parse(
  readFileSync(new URL("./vectors/content-vectors.json", import.meta.url), "utf8"),
);

const codec = new Codec({ maxBytes: 1_000_000 });

test.each(vectors.contents)(
  "content vector: $name → these bytes, and back (R29)",
  ({ content: vector, plaintext }) => {
    const content = contentOf(vector);
    const bytes = Buffer.from(plaintext, "hex");
    expect(Buffer.from(codec.encode(content)).toString("hex")).toBe(plaintext);
    expect(codec.decode(bytes)).toEqual(content);
    expect(codec.encodesTo(content, bytes)).toBe(true);
  },
);

test.each(vectors.refused)("content vector: $why → refused (R26)", ({ plaintext }) => {
  expect(() => codec.decode(Buffer.from(plaintext, "hex"))).toThrow(RefusedError);
});

test("content: an authentication or a device without a user → not stored", () => {
  const anonymous = { data: { a: 1 }, user: undefined, flash: {} };
  const device = { id: new Uint8Array(16), key: new Uint8Array(1), at: 1, proofs: 0 };
  expect(codec.encode({ ...anonymous, authentication: { at: 1, level: "aal2" }, device })).toEqual(
    codec.encode(anonymous),
  );
});
