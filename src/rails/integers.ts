import type { Output } from "../codec/output.ts";
import { EXT, swapWords } from "./messagepack.ts";
import { safe } from "./reader.ts";
import type { RubyInteger, RubyRational } from "./types.ts";

export function writeInteger(output: Output, value: RubyInteger): void {
  if (typeof value === "number") return output.number(value);
  const small = safe(value);
  if (typeof small === "number") return output.number(small);
  if (value > -(2n ** 63n) && value < 2n ** 64n) return output.integer64(value);
  const hex = (value < 0n ? -value : value).toString(16);
  const words = swapWords(Buffer.from(hex.padStart(Math.ceil(hex.length / 8) * 8, "0"), "hex"));
  const start = output.length;
  output.raw(Uint8Array.of(value < 0n ? 1 : 0));
  output.raw(words);
  output.extension(start, EXT.bigInteger);
}

export function writeIntegers(output: Output, ...values: RubyInteger[]): void {
  for (const value of values) writeInteger(output, value);
}

/** Rails writes no denominator for 0. */
export function writeRational(output: Output, value: RubyRational): void {
  writeInteger(output, value.numerator);
  if (value.numerator !== 0) writeInteger(output, value.denominator);
}
