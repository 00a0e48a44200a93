import { asBuffer } from "../../shared/bytes.ts";
import { BytesList, IntegerList, type SqlValue } from "../values.ts";

// PostgreSQL's binary array format (array_send): one dimension, a null flag, the element type, the length, a lower
// bound of 1, then each element after its length. node-postgres sends a Buffer as a binary parameter; its text form of
// a byte array costs several times as much on both sides.
const BYTEA = 17;
const INT8 = 20;

function arrayHeader(array: Buffer, elementType: number, length: number, nulls: boolean): void {
  array.writeInt32BE(1, 0);
  array.writeInt32BE(nulls ? 1 : 0, 4);
  array.writeInt32BE(elementType, 8);
  array.writeInt32BE(length, 12);
  array.writeInt32BE(1, 16);
}

function bytesArray({ elements }: BytesList): Buffer {
  const size = elements.reduce((sum, element) => sum + 4 + (element?.length ?? 0), 20);
  const array = Buffer.allocUnsafe(size);
  arrayHeader(array, BYTEA, elements.length, elements.includes(null));
  let offset = 20;
  for (const element of elements) {
    offset = array.writeInt32BE(element ? element.length : -1, offset);
    if (!element) continue;
    array.set(element, offset);
    offset += element.length;
  }
  return array;
}

function integerArray({ elements }: IntegerList): Buffer {
  const array = Buffer.allocUnsafe(20 + 12 * elements.length);
  arrayHeader(array, INT8, elements.length, false);
  let offset = 20;
  for (const element of elements) {
    array.writeInt32BE(8, offset);
    array.writeInt32BE(Math.floor(element / 2 ** 32), offset + 4);
    array.writeUInt32BE(element >>> 0, offset + 8);
    offset += 12;
  }
  return array;
}

/** For a driver that sends a Buffer as a binary parameter, which node-postgres does. */
export function binaryValues(values: readonly SqlValue[]): unknown[] {
  return values.map((value) => {
    if (value instanceof BytesList) return bytesArray(value);
    return value instanceof IntegerList ? integerArray(value) : value;
  });
}

/** For a driver that sends every parameter as text. Bytes stay bytes, which each of them knows. */
export function textValues(values: readonly SqlValue[]): (string | Uint8Array | null)[] {
  return values.map((value) => {
    if (value instanceof BytesList) return `{${value.elements.map(bytesElement).join()}}`;
    if (value instanceof IntegerList) return `{${value.elements.join()}}`;
    return typeof value === "number" ? String(value) : value;
  });
}

function bytesElement(element: Uint8Array | null): string {
  return element === null ? "NULL" : `"\\\\x${asBuffer(element).toString("hex")}"`;
}
