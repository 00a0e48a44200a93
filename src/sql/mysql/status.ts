/** Server status flags, which the MySQL protocol sends with each result. */
export const IN_TRANSACTION = 1;
export const AUTOCOMMIT = 2;

/** The last packet of a result set has a 4-byte header and 5 bytes: 0xfe, two bytes of warnings, two of status. */
const HEADER = 4;
const END_OF_ROWS = 0xfe;

/** mysql2 parses packets with one object, which still contains the last packet. */
interface Shown {
  readonly packetParser?: {
    readonly _reusablePacket?: {
      readonly buffer?: unknown;
      readonly start?: unknown;
      readonly end?: unknown;
    };
  };
}

/**
 * Returns the status flags of a result, right after it arrived. mysql2 exposes them for results without rows. For
 * results with rows, reads them from the last packet, through the private field `_reusablePacket`. Returns undefined if
 * this version of mysql2 has no such field; the driver then queries the status with a statement of its own.
 */
export function statusOf(answer: unknown, connection: object): number | undefined {
  const { serverStatus: last } = connection as { readonly serverStatus?: unknown };
  if (typeof last === "number") return last;
  if (!Array.isArray(answer)) {
    const { serverStatus } = (answer ?? {}) as { serverStatus?: unknown };
    return typeof serverStatus === "number" ? serverStatus : undefined;
  }
  const { buffer, start, end } = (connection as Shown).packetParser?.["_reusablePacket"] ?? {};
  if (!Buffer.isBuffer(buffer) || typeof start !== "number" || typeof end !== "number") return undefined;
  if (end - start !== HEADER + 5 || buffer[start + HEADER] !== END_OF_ROWS) return undefined;
  return buffer.readUInt16LE(start + HEADER + 3);
}
