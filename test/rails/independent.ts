/**
 * Reads ActiveSupport::MessagePack as its description says and nothing more: no limits, no care, no code of src/.
 * A value comes out as text-tagged arrays, so that an Integer, a Float and a Symbol never look alike.
 */
export type Model = readonly [string, ...unknown[]];

export function readModel(bytes: Uint8Array): Model {
  if (bytes[0] !== 0xcc || bytes[1] !== 0x80) throw new Error("no signature");
  const input = new Input(Buffer.from(bytes), 2);
  const value = input.value();
  if (input.offset !== bytes.length) throw new Error("trailing bytes");
  return value;
}

class Input {
  readonly bytes: Buffer;
  offset: number;

  constructor(bytes: Buffer, offset = 0) {
    this.bytes = bytes;
    this.offset = offset;
  }

  take(length: number): Buffer {
    if (this.offset + length > this.bytes.length) throw new Error("cut short");
    this.offset += length;
    return this.bytes.subarray(this.offset - length, this.offset);
  }

  uint(width: number): number {
    return Number(BigInt(`0x${this.take(width).toString("hex")}`));
  }

  many(count: number): Model[] {
    return Array.from({ length: count }, () => this.value());
  }

  rest(): Model[] {
    const values: Model[] = [];
    while (this.offset < this.bytes.length) values.push(this.value());
    return values;
  }

  value(): Model {
    const byte = this.uint(1);
    if (byte < 0x80) return ["integer", String(byte)];
    if (byte < 0x90) return ["hash", ...this.many(2 * (byte - 0x80))];
    if (byte < 0xa0) return ["array", ...this.many(byte - 0x90)];
    if (byte < 0xc0) return ["string", this.take(byte - 0xa0).toString("hex")];
    if (byte >= 0xe0) return ["integer", String(byte - 256)];
    const widths: Record<number, number> = {
      0xc4: 1,
      0xc5: 2,
      0xc6: 4,
      0xd9: 1,
      0xda: 2,
      0xdb: 4,
      0xdc: 2,
      0xdd: 4,
    };
    if (byte === 0xc0) return ["nil"];
    if (byte === 0xc2) return ["false"];
    if (byte === 0xc3) return ["true"];
    if (byte <= 0xc6) return ["binary", this.take(this.uint(widths[byte] ?? 0)).toString("hex")];
    if (byte <= 0xc9) return this.extension(this.uint(2 ** (byte - 0xc7)));
    if (byte === 0xcb) return ["float", this.take(8).toString("hex")];
    if (byte >= 0xcc && byte <= 0xcf)
      return ["integer", String(BigInt(`0x${this.take(2 ** (byte - 0xcc)).toString("hex")}`))];
    if (byte >= 0xd0 && byte <= 0xd3) {
      const width = 2 ** (byte - 0xd0);
      return ["integer", String(BigInt.asIntN(8 * width, BigInt(`0x${this.take(width).toString("hex")}`)))];
    }
    if (byte >= 0xd4 && byte <= 0xd8) return this.extension(2 ** (byte - 0xd4));
    if (byte >= 0xd9 && byte <= 0xdb)
      return ["string", this.take(this.uint(widths[byte] ?? 0)).toString("hex")];
    if (byte === 0xdc || byte === 0xdd) return ["array", ...this.many(this.uint(widths[byte] ?? 0))];
    if (byte === 0xde) return ["hash", ...this.many(2 * this.uint(2))];
    if (byte === 0xdf) return ["hash", ...this.many(2 * this.uint(4))];
    throw new Error(`byte ${byte}`);
  }

  extension(length: number): Model {
    const code = this.uint(1);
    const payload = this.take(length);
    const names = [
      "symbol",
      "integer",
      "decimal",
      "rational",
      "complex",
      "datetime",
      "date",
      "time",
      "zoned",
      "zone",
      "duration",
      "range",
      "set",
      "uri",
      "address",
      "pathname",
      "regexp",
      "hwia",
      "safe",
    ];
    const name = names[code];
    if (name === undefined) throw new Error(`extension ${code}`);
    if (code === 1) {
      let magnitude = 0n;
      for (let at = 1, shift = 0n; at < payload.length; at += 4, shift += 32n) {
        magnitude += BigInt(payload.readUInt32BE(at)) << shift;
      }
      return ["integer", String(payload[0] === 1 ? -magnitude : magnitude)];
    }
    if ([0, 2, 9, 13, 15, 16, 18].includes(code)) return [name, payload.toString("hex")];
    return [name, ...new Input(payload).rest()];
  }
}
