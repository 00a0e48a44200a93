import { describe, expect, test } from "vitest";
import { StoreSettingsError } from "../../errors.ts";
import { LATEST } from "../columns.ts";
import { decode, decodeInfo, isUnchanged, leftOut } from "./rows.ts";

/** As PostgreSQL encodes bytes: in lines of 76 characters. */
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString("base64")
    .replaceAll(/.{76}(?=.)/g, "$&\n");
const bytesOf = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed) % 256);

const id = bytesOf(32);
const data = bytesOf(354, 2);
const userRef = bytesOf(32, 3);
const client = bytesOf(90, 4);
const times = ["5", "1764540000000", "1764540000001", "1772540000000", "1764640000000"];

function row(changes: Record<number, string> = {}): Record<string, unknown> {
  const columns = [...times, base64(id), base64(data), base64(userRef), base64(client)];
  for (const [place, text] of Object.entries(changes)) columns[Number(place)] = text;
  return { row: columns.join(" ") };
}

const whole = {
  id,
  version: 5,
  userRef,
  createdAt: 1764540000000,
  updatedAt: 1764540000001,
  absoluteExpiresAt: 1772540000000,
  expiresAt: 1764640000000,
  client,
  data,
};

describe("a row of PostgreSQL", () => {
  test("all columns → bytes and numbers", () => {
    const read = decode(row());
    expect(read).toStrictEqual(whole);
    expect(Object.getPrototypeOf(read.data)).toBe(Uint8Array.prototype);
    expect(decode(row({ 7: "-", 8: "-" }))).toStrictEqual({ ...whole, userRef: null, client: null });
  });

  test("as bytes, which a setting makes of text → read all the same", () => {
    expect(decode({ row: Buffer.from(row()["row"] as string) })).toStrictEqual(whole);
  });

  test("a known row of the same bytes → its arrays are in the answer, except the client's", () => {
    const known = decode(row());
    const read = decode(row({ 0: "6" }), known);
    expect(read).toStrictEqual({ ...whole, version: 6 });
    expect([read.id === known.id, read.data === known.data, read.userRef === known.userRef]).toEqual([
      true,
      true,
      true,
    ]);
    expect(read.client).not.toBe(known.client);
  });

  test("a known row of other bytes, or of another session → what was read (promise 6)", () => {
    const others = [
      { ...whole, id: bytesOf(32, 9), userRef: null, data: bytesOf(354, 9) },
      { ...whole, id: bytesOf(31), userRef: bytesOf(33, 3), data: data.subarray(0, 353) },
      { ...whole, data: Uint8Array.of(...data, 0) },
      { ...whole, data: new Uint8Array(0) },
    ];
    for (const known of others) expect(decode(row(), known)).toStrictEqual(whole);
    expect(decode(row({ 7: "-" }), whole).userRef).toBeNull();
  });

  test("data of any length, known or not → the same bytes", () => {
    for (const length of [0, 1, 2, 3, 56, 57, 58, 1_024, 3_071, 3_072, 4_095, 4_096, 4_097, 30_000]) {
      const long = bytesOf(length, 7);
      const text = row({ 6: base64(long) });
      for (const known of [null, { ...whole, data: long }, { ...whole, data: bytesOf(length, 8) }])
        expect(decode(text, known).data).toStrictEqual(long);
    }
  });

  test.each([
    ["0", 0],
    ["-1", -1],
    ["007", 7],
    [String(LATEST), LATEST],
    ["9007199254740991", LATEST],
    ["9223372036854775807", LATEST],
    ["-9223372036854775808", -LATEST],
  ])("a time of %s → %d, within the range of a Date", (text, time) => {
    expect(decode(row({ 1: text })).createdAt).toBe(time);
  });

  test.each([
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["8640000000000001", LATEST + 1],
    ["9007199254740993", Number.MAX_SAFE_INTEGER],
    ["-9007199254740993", -Number.MAX_SAFE_INTEGER],
  ])("a version of %s → %d", (text, version) => {
    expect(decode(row({ 0: text })).version).toBe(version);
  });

  test("a number, or a number of columns, that a setting of the pool changed → StoreSettingsError (promise 8)", () => {
    for (const text of ["", "x", "1.5", "1e3", "+1", "-", "１"])
      expect(() => decode(row({ 1: text })), text).toThrow(StoreSettingsError);
    const { row: nine } = row() as { row: string };
    const eight = nine.slice(0, nine.lastIndexOf(" "));
    for (const other of ["", eight, `${nine} `, `${nine} 1`, 5, null])
      expect(() => decode({ row: other }), String(other).slice(-5)).toThrow(StoreSettingsError);
  });

  test("data that was left out → its id and size, or that it is the same", () => {
    expect(leftOut(row())).toBeNull();
    expect(leftOut(row({ 6: "!40000" }))).toStrictEqual({ id, bytes: 40_000 });
    expect([isUnchanged(row({ 6: "!" })), isUnchanged(row({ 6: "!40000" })), isUnchanged(row())]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("the size and the first bytes in place of the data → no data", () => {
    const { data: _, ...meta } = whole;
    const head = data.subarray(0, 64);
    expect(decodeInfo(row({ 6: `354:${base64(head)}` }))).toStrictEqual({ ...meta, bytes: 354, head });
  });
});
