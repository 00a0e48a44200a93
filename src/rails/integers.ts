import { EXT, swapWords } from "./messagepack.ts";
import { safe } from "./reader.ts";
import type { RubyInteger, RubyRational } from "./types.ts";
import type { Writer } from "./writer.ts";

export function writeInteger(writer: Writer, value: RubyInteger): void {
  if (typeof value === "number") return writer.integer(value);
  const small = safe(value);
  if (typeof small === "number") return writer.integer(small);
  if (value > -(2n ** 63n) && value < 2n ** 64n) return writer.integer64(value);
  const hex = (value < 0n ? -value : value).toString(16);
  const words = swapWords(Buffer.from(hex.padStart(Math.ceil(hex.length / 8) * 8, "0"), "hex"));
  writer.extension(EXT.bigInteger, Buffer.concat([Uint8Array.of(value < 0n ? 1 : 0), words]));
}

export function writeIntegers(writer: Writer, ...values: RubyInteger[]): void {
  for (const value of values) writeInteger(writer, value);
}

/** Without the denominator of 0, as Rails has it. */
export function writeRational(writer: Writer, value: RubyRational): void {
  writeInteger(writer, value.numerator);
  if (value.numerator !== 0) writeInteger(writer, value.denominator);
}
