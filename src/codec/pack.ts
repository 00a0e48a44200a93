import { Encoder, ExtData } from "@msgpack/msgpack";

// `lower.ts` has checked the depth, and has turned everything that is no MessagePack type into an ExtData
const encoder = new Encoder({ maxDepth: Number.MAX_SAFE_INTEGER });

const zeros: number[] = [];

/**
 * Stands for -0, which the library would write as the integer 0. As an extension of three bytes it takes the nine
 * bytes of a float64, and the library tells where; {@link pack} then writes the float over it.
 */
export const negativeZero: ExtData = new ExtData(0, (dataAt) => {
  zeros.push(dataAt - 6);
  return new Uint8Array(3);
});

/** The MessagePack bytes of a lowered value, in a buffer of their own. */
export function pack(lowered: unknown): Uint8Array {
  zeros.length = 0;
  const bytes = encoder.encode(lowered);
  for (const at of zeros) {
    bytes.fill(0, at, at + 9);
    bytes[at] = 0xcb;
    bytes[at + 1] = 0x80;
  }
  return bytes;
}
