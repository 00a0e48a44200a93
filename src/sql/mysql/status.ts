/** What a server of MySQL's protocol says of a connection with each answer. */
export const IN_TRANSACTION = 1;
export const AUTOCOMMIT = 2;

/** An answer's last packet is 5 bytes behind 4 of header, where it ends rows: 0xfe, two of warnings, two of status. */
const HEADER = 4;
const END_OF_ROWS = 0xfe;

/** mysql2 takes packets apart in one object, which still shows the last one. */
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
 * The status that came with an answer, right after it came. mysql2 tells it for answers without rows; with rows it is
 * looked up in the last packet, and undefined where a version of mysql2 does not show that.
 */
export function statusOf(answer: unknown, connection: object): number | undefined {
  if (!Array.isArray(answer)) {
    const { serverStatus } = (answer ?? {}) as { serverStatus?: unknown };
    return typeof serverStatus === "number" ? serverStatus : undefined;
  }
  const { buffer, start, end } = (connection as Shown).packetParser?.["_reusablePacket"] ?? {};
  if (!Buffer.isBuffer(buffer) || typeof start !== "number" || typeof end !== "number") return undefined;
  if (end - start !== HEADER + 5 || buffer[start + HEADER] !== END_OF_ROWS) return undefined;
  return buffer.readUInt16LE(start + HEADER + 3);
}
