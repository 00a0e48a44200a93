import { describe, expect, test } from "vitest";
import { RefusedError } from "../errors.ts";
import { Codec } from "./codec.ts";
import { Reader } from "./reader.ts";

const limits = { maxBytes: 1_048_576, maxDepth: 32, maxKeys: 10_000 };
const codec = new Codec({ maxBytes: 1_048_576 });
const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

function refusal(act: () => unknown): RefusedError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(RefusedError);
    expect((error as RefusedError).reason).toBe("decode");
    return error as RefusedError;
  }
  throw new Error("nothing was refused");
}

function readAll(hex: string): unknown {
  const reader = new Reader(bytesOf(hex), limits);
  const value = reader.value();
  reader.end();
  return value;
}

const early = "the input ends unexpectedly";
const longer = "a number or length is not in its shortest form";
const badDate = "a date is malformed";
const badBigint = "a bigint is malformed";

test.each<[string, string, string, number]>([
  ["nothing", "", early, 0],
  ["the byte that MessagePack never uses", "c1", "byte 193 does not start a value", 1],
  ["a float32", "ca3fc00000", "byte 202 does not start a value", 1],
  ["two values", "0101", "there are unexpected trailing bytes", 1],

  ["uint8 of 127", "cc7f", longer, 2],
  ["uint16 of 255", "cd00ff", longer, 3],
  ["uint32 of 65,535", "ce0000ffff", longer, 5],
  ["uint64 of 2^32 - 1", "cf00000000ffffffff", longer, 9],
  ["uint64 of 0", "cf0000000000000000", longer, 9],
  ["uint64 of 2^53", "cf0020000000000000", "an integer exceeds 2^53", 9],
  ["uint64 of 2^64 - 1", "cfffffffffffffffff", "an integer exceeds 2^53", 9],
  ["int8 of -32", "d0e0", longer, 2],
  ["int8 of 5", "d005", longer, 2],
  ["int16 of -128", "d1ff80", longer, 3],
  ["int32 of -32,768", "d2ffff8000", longer, 5],
  ["int64 of -2^31", "d3ffffffff80000000", longer, 9],
  ["int64 of 0", "d30000000000000000", longer, 9],
  ["int64 of -2^53", "d3ffe0000000000000", "an integer exceeds 2^53", 9],
  ["int64 of -2^63", "d38000000000000000", "an integer exceeds 2^53", 9],
  ["a float64 that is an integer", "cb3ff0000000000000", longer, 9],
  ["a float64 of 0", "cb0000000000000000", longer, 9],
  ["a float64 of 2^53 - 1", "cb433fffffffffffff", longer, 9],
  ["a NaN with a payload", "cb7ff8010000000000", "a NaN has a payload", 9],
  ["a negative NaN", "cbfff8000000000000", "a NaN has a payload", 9],
  ["a signalling NaN", "cb7ff0000000010000", "a NaN has a payload", 9],

  ["a cut uint8", "cc", early, 1],
  ["a cut uint16", "cd01", early, 1],
  ["a cut uint32", "ce010000", early, 1],
  ["a cut uint64", "cf00000001000000", early, 5],
  ["a cut int8", "d0", early, 1],
  ["a cut int16", "d180", early, 1],
  ["a cut int32", "d2800000", early, 1],
  ["a cut int64", "d3ffffffff7fffff", early, 5],
  ["a cut float64", "cb3ff80000000000", early, 1],

  ["a cut text", "a1", early, 1],
  ["text that runs over the end", "a361", early, 1],
  ["str8 of 31", `d91f${"61".repeat(31)}`, longer, 2],
  ["str16 of 255", `da00ff${"61".repeat(255)}`, longer, 3],
  ["str32 of 65,535", "db0000ffff", longer, 5],
  ["str32 of 2^32 - 1", "dbffffffff", early, 5],
  ["a lone continuation byte", "a180", "text is not valid UTF-8", 2],
  ["an overlong slash", "a2c0af", "text is not valid UTF-8", 3],
  ["a surrogate in UTF-8", "a3eda080", "text is not valid UTF-8", 4],
  ["a cut character", "a2e282", "text is not valid UTF-8", 3],
  ["beyond Unicode", "a4f4908080", "text is not valid UTF-8", 5],

  ["bin16 of 255", `c500ff${"00".repeat(255)}`, longer, 3],
  ["bin32 of 65,535", "c60000ffff", longer, 5],
  ["bin8 over the end", "c40200", early, 2],
  ["bin16 over the end", "c5010000", early, 3],
  ["bin32 of 2^32 - 1", "c6ffffffff", early, 5],

  ["R47: an array of 2^32 - 1", "ddffffffff", early, 5],
  ["R47: a map of 2^32 - 1", "dfffffffff", early, 5],
  ["R47: arrays of many in arrays of many", "dd00fffffd".repeat(20), early, 5],
  ["an array of one more than there are bytes", "930102", early, 1],
  ["a map of one pair more than there are bytes", "82a0c0a0", early, 1],
  ["array16 of 15", "dc000f", longer, 3],
  ["array32 of 65,535", "dd0000ffff", longer, 5],
  ["map16 of 15", "de000f", longer, 3],
  ["map32 of 65,535", "df0000ffff", longer, 5],

  ["a number as key", "8101c0", "a key is not a string", 2],
  ["null as key", "81c0c0", "a key is not a string", 2],
  ["bytes as key", "81c400c0", "a key is not a string", 2],
  ["an array as key", "8190c0", "a key is not a string", 2],
  ["an extension as key", "81d40130c0", "a key is not a string", 2],
  ["a key over the end", "81a3c0", early, 2],
  ["a str8 key of 31", `81d91f${"61".repeat(31)}c0`, longer, 3],
  ["a str16 key of 255", `81da00ff${"61".repeat(255)}c0`, longer, 4],
  ["a str32 key of 65,535", "81db0000ffffc0", longer, 6],
  ["a key that is no UTF-8", "81a1ffc0", "text is not valid UTF-8", 3],
  ["R46: __proto__", "81a95f5f70726f746f5f5fc0", "a key is __proto__", 11],
  ["R46: __proto__ within", "81a16181a95f5f70726f746f5f5f80", "a key is __proto__", 14],
  ["a key twice", "82a16101a16102", "a key is duplicated", 7],
  [
    "a key twice that objects inherit",
    `82${"ab636f6e7374727563746f7201".repeat(2)}`,
    "a key is duplicated",
    27,
  ],

  ["R47: an unknown extension", "d40500", "extension 5 is unknown", 3],
  ["R47: extension 0", "d40000", "extension 0 is unknown", 3],
  ["R47: extension 127", "c7007f", "extension 127 is unknown", 3],
  ["R47: extension -2", "d4fe00", "extension -2 is unknown", 3],
  ["an extension without type", "d4", early, 1],
  ["an extension without payload", "d401", early, 2],
  ["ext8 of 1", "c7010130", longer, 2],
  ["ext8 of 2", "c702013132", longer, 2],
  ["ext8 of 4", "c7040131323334", longer, 2],
  ["ext8 of 8", `c70801${"31".repeat(8)}`, longer, 2],
  ["ext8 of 16", `c71001${"31".repeat(16)}`, longer, 2],
  ["ext16 of 255", `c800ff01${"31".repeat(255)}`, longer, 3],
  ["ext32 of 65,535", "c90000ffff01", longer, 5],
  ["ext8 over the end", "c7030131", early, 3],
  ["ext16 over the end", "c801000131", early, 4],
  ["ext32 of 2^32 - 1", "c9ffffffff0131", early, 6],

  ["a date of 0 bytes", "c700ff", badDate, 3],
  ["a date of 1 byte", "d4ff00", badDate, 2],
  ["a date of 5 bytes", "c705ff0000000000", badDate, 3],
  ["a date of 16 bytes", `d8ff${"00".repeat(16)}`, badDate, 2],
  ["a date in 8 bytes that fits into 4", "d7ff00000000ffffffff", badDate, 10],
  ["a date in 12 bytes that fits into 4", `c70cff${"00".repeat(12)}`, badDate, 15],
  ["a date in 12 bytes that fits into 8", "c70cff0000000000000003ffffffff", badDate, 15],
  ["a date of half a millisecond", "d7ff001e848000000000", badDate, 10],
  ["a date one nanosecond off", "d7ff0000000400000000", badDate, 10],
  ["a date of 10^9 nanoseconds", "d7ffee6b280000000000", badDate, 10],
  ["a far date of 10^9 nanoseconds", "c70cff3b9aca000000000400000000", badDate, 15],
  ["a far date of half a millisecond", "c70cff0007a1200000000400000000", badDate, 15],
  ["a date one millisecond too late", "c70cff000f4240000007dba8218000", badDate, 15],
  ["a date beyond all dates", "c70cff000000007fffffffffffffff", badDate, 15],
  ["a date before all dates", "c70cff000000008000000000000000", badDate, 15],
  ["a cut date", "d7ff00000000", early, 2],

  ["a bigint without digits", "c70001", badBigint, 3],
  ["a bigint of a sign", "d4012d", badBigint, 3],
  ["minus zero", "d5012d30", badBigint, 4],
  ["a plus", "d5012b31", badBigint, 4],
  ["a leading zero", "d5013031", badBigint, 4],
  ["a leading zero after the sign", "c703012d3031", badBigint, 6],
  ["a space before", "d5012031", badBigint, 4],
  ["a space behind", "d5013120", badBigint, 4],
  ["a hexadecimal bigint", "c70301307831", badBigint, 6],
  ["an n", "d501316e", badBigint, 4],

  ["a Set that is a number", "d40201", "an array was expected", 3],
  ["a Set that is a map", "d40280", "an array was expected", 3],
  ["a Set that is a text", "d402a0", "an array was expected", 3],
  ["a Set of nothing", "c70002", early, 3],
  ["a Set with more behind it", "d5029001", "there are unexpected trailing bytes", 3],
  ["a Set with what could be the next value", "92d5029001", "there are unexpected trailing bytes", 4],
  ["a Set that takes from what follows", "92d4029101", early, 4],
  ["a Set with an element twice", "c70302920101", "a Set has a duplicate element", 6],
  ["a Set of array16 of 15", "c70302dc000f", longer, 6],
  ["a Set of array32 of 65,535", "c70502dd0000ffff", longer, 8],
  ["a Map that is a map", "d40380", "an array was expected", 3],
  ["a Map with a key alone", "d5039101", "a Map has a key without a value", 4],
  ["a Map with a key twice", "c705039401020103", "a Map has a duplicate key", 8],
  ["a Map with more behind it", "d5039001", "there are unexpected trailing bytes", 3],

  ["a Set with -0", "c70a0291cb8000000000000000", "a Set or the keys of a Map have -0", 13],
  ["a Map with a key -0", "c70b0392cb800000000000000001", "a Set or the keys of a Map have -0", 14],

  ["a URL that is none", "d5046162", "a URL is malformed", 4],
  ["a URL written otherwise", "d704" + Buffer.from("http://a").toString("hex"), "a URL is malformed", 10],
  ["a URL that is no UTF-8", "d404ff", "text is not valid UTF-8", 3],
])("R47: %s → DecodeError", (_name, hex, what, at) => {
  expect(refusal(() => readAll(hex)).message).toBe(
    `The stored session cannot be decoded: ${what} (byte ${at}). It is damaged, or another program wrote it.`,
  );
});

/** An array of one Set, up to the payload of that Set. */
function shortHeader(length: number): Buffer {
  if ([1, 2, 4, 8, 16].includes(length)) return Buffer.from([0x91, 0xd4 + Math.log2(length), 2]);
  return length < 256
    ? Buffer.from([0x91, 0xc7, length, 2])
    : Buffer.from([0x91, 0xc8, length >> 8, length & 255, 2]);
}

test("R47: every value cut at every byte → DecodeError", () => {
  const all = codec.encode({
    data: {
      text: "x".repeat(40),
      wide: "é".repeat(300),
      list: [1, 200, 70_000, 2 ** 40, -5, -100, -1000, -100_000, -(2 ** 40), 1.5, null, true, false],
      when: [new Date(0), new Date(5), new Date(-5)],
      more: [10n, new Set([1, [2]]), new Map([["a", { b: 1 }]]), new URL("http://a"), new Uint8Array(300)],
    },
    user: "42",
    flash: { notice: "hello" },
  });
  expect(codec.decode(all).user).toBe("42");
  for (let length = 0; length < all.length; length++) refusal(() => codec.decode(all.subarray(0, length)));
  refusal(() => codec.decode(Buffer.concat([all, Buffer.from([0])])));
});

describe("content", () => {
  test.each<[string, string, string]>([
    ["a map", "80", "an array was expected"],
    ["text", "a0", "an array was expected"],
    ["an array of none", "90", "a pair of data and internals was expected"],
    ["an array of one", "9180", "a pair of data and internals was expected"],
    ["an array of three", "93808080", "a pair of data and internals was expected"],
    ["a long array header", "dc00028080", longer],
    ["another long array header", "dd000000028080", longer],
    ["data that is an array", "929080", "a map was expected"],
    ["data that is a number", "920180", "a map was expected"],
    ["data that is a number below all headers", "927f80", "a map was expected"],
    ["data that is text", "92a080", "a map was expected"],
    ["data that is null", "92c080", "a map was expected"],
    ["data with a long header", "92de000080", longer],
    ["data with another long header", "92df0000000080", longer],
    ["internals that are an array", "928090", "a map was expected"],
    ["an unknown internal", "928081a178c0", "an internal key is unknown"],
    ["an internal __proto__", "928081a95f5f70726f746f5f5f80", "an internal key is unknown"],
    ["an internal that is no text", "928081c0c0", "a key is not a string"],
    ["a user who is a number", "928081a1752a", "a key is not a string"],
    ["an empty user", "928081a175a0", "the user is empty"],
    ["a user twice", "928082a175a131a175a132", "a key is duplicated"],
    ["a flash that is text", "928081a166a161", "a map was expected"],
    ["an empty flash", "928081a16680", "the flash is empty"],
    ["a flash twice", "928082a16681a161c0a16681a161c0", "a key is duplicated"],
    ["more behind it", "928080c0", "there are unexpected trailing bytes"],
    ["internals that are missing", "9280", early],
    ["more internals than are there", "928081", early],
  ])("%s → DecodeError", (_name, hex, what) => {
    expect(refusal(() => codec.decode(bytesOf(hex))).message).toContain(`cannot be decoded: ${what} (byte `);
  });

  test("client metadata that is not a map, or is followed by bytes → DecodeError", () => {
    expect(refusal(() => codec.decodeMap(bytesOf("90"))).message).toContain("a map was expected");
    expect(refusal(() => codec.decodeMap(bytesOf("8000"))).message).toContain(
      "there are unexpected trailing bytes",
    );
    expect(codec.decodeMap(bytesOf("80"))).toStrictEqual({});
  });
});

describe("R45, promise 10: the limits of decoding", () => {
  test("bytes: at the limit → read; one more → an error", () => {
    const small = new Codec({ maxBytes: 12 });
    expect(small.decode(bytesOf("9281a161a5747265657380")).data).toStrictEqual({ a: "trees" });
    expect(small.decode(bytesOf("9281a161a673747265657380")).data).toStrictEqual({ a: "strees" });
    expect(refusal(() => small.decode(bytesOf("9281a161a77374726565747380"))).message).toBe(
      "The stored session cannot be decoded: its size of 13 bytes exceeds maxBytes, 12 (byte 0). It is damaged, or another program wrote it.",
    );
  });

  test.each([
    ["arrays", "91"],
    ["objects", "81a161"],
  ])("depth: 100,000 nested %s → an error, no stack overflow", (_name, open) => {
    const bytes = bytesOf(`9281a161${open.repeat(100_000)}0180`);
    expect(refusal(() => codec.decode(bytes)).message).toContain(
      "values are nested deeper than 32 levels (byte ",
    );
  });

  test("depth: nested Sets → an error, no stack overflow", () => {
    let payload = Buffer.from("90", "hex");
    for (let level = 0; level < 1000; level++) {
      const header = Buffer.from([0x91, 0xc9, 0, 0, 0, 0, 2]);
      header.writeUInt32BE(payload.length, 2);
      payload = Buffer.concat([payload.length < 65_536 ? shortHeader(payload.length) : header, payload]);
    }
    const bytes = Buffer.concat([Buffer.from("9281a161", "hex"), payload, Buffer.from("80", "hex")]);
    expect(refusal(() => codec.decode(bytes)).message).toContain(
      "values are nested deeper than 32 levels (byte ",
    );
  });

  test("depth: 32 levels → read; 33 → an error", () => {
    expect(codec.decode(bytesOf(`9281a161${"91".repeat(31)}0180`)).data).toBeDefined();
    refusal(() => codec.decode(bytesOf(`9281a161${"91".repeat(32)}0180`)));
    // what was closed does not count
    expect(readAll(`92${"91".repeat(31)}01${"91".repeat(31)}01`)).toHaveLength(2);
    expect(readAll(`92${"81a161".repeat(31)}01${"81a161".repeat(31)}01`)).toHaveLength(2);
  });

  test("keys: at the limit → read; one more → an error", () => {
    const few = new Codec({ maxBytes: 1000, maxKeys: 2 });
    expect(few.decode(bytesOf("9281a16181a1620180")).data).toStrictEqual({
      a: { b: 1 },
    });
    expect(refusal(() => few.decode(bytesOf("9281a16182a16201a1630180"))).message).toContain(
      "there are more than 2 keys (byte ",
    );
    refusal(() => few.decode(bytesOf("9282a16101a1620181a16681a16e01")));
    // the names of the internals are not keys of the session
    expect(few.decode(bytesOf("9281a1610182a175a131a16681a16e01")).flash).toStrictEqual({ n: 1 });
  });
});

test("a view into a larger buffer → read from its own start to its own end", () => {
  const bytes = codec.encode({
    data: { text: "tea", wide: "é", bytes: new Uint8Array([1]) },
    user: "1",
    flash: {},
  });
  const within = Buffer.concat([Buffer.from("junk"), bytes, Buffer.from("junk")]).subarray(
    4,
    4 + bytes.length,
  );
  expect(codec.decode(within)).toStrictEqual(codec.decode(bytes));
});

test.each([4095, 4096, 4097])("text of %i bytes → read back equal", (length) => {
  const text = "tea ".repeat(2000).slice(0, length - 10);
  const bytes = codec.encodeMap({ a: text, b: 10n, c: "é" });
  const more = codec.encodeMap({ a: text.slice(0, text.length - (bytes.length - length)), b: 10n, c: "é" });
  expect(more).toHaveLength(length);
  expect(codec.decodeMap(more)).toStrictEqual({
    a: text.slice(0, text.length - (bytes.length - length)),
    b: 10n,
    c: "é",
  });
});
