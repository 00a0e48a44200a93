import { decode, encode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { Output } from "./output.ts";

/** What another implementation reads from the bytes that were written. */
function readBack(write: (output: Output) => void, options = {}): unknown {
  const output = new Output(1);
  write(output);
  return decode(output.copy(), options);
}

describe("what only Rails mode writes", () => {
  test.each([2n ** 32n, 2n ** 63n - 1n, 2n ** 64n - 1n, -(2n ** 31n) - 1n, -(2n ** 63n)])(
    "integer64: %s → another implementation reads the same integer",
    (value) => {
      expect(readBack((output) => output.integer64(value), { useBigInt64: true })).toBe(value);
    },
  );

  test.each(["", "a", "ü".repeat(20), "x".repeat(300), "y".repeat(70_000)])(
    "textBytes: %# → the same bytes as another implementation writes for the text",
    (text) => {
      const output = new Output(1);
      output.textBytes(Buffer.from(text));
      expect(Buffer.compare(output.copy(), encode(text))).toBe(0);
    },
  );
});
