import { keyOf } from "../shared/bytes.ts";
import { chainOf, numberOf, positionOf, type AuditRow, type AuditStore } from "../store/audit.ts";
import { hashOf, isHashable, macOf, NO_HASH } from "./chain.ts";
import { keyIdOf } from "./envelope.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import type { AuditProblem } from "./report.ts";

/** An event that is not as it was written, or whose neighbour is not. */
export interface Suspect {
  readonly row: AuditRow;
  /** The hash of the event before it, as stored. Null if that has none. */
  readonly before: Uint8Array | null;
  /** Whether a process wrote it so. Null without the keys. */
  readonly isGenuine: boolean | null;
  /** Whether a checkpoint says that the chain has an event of this number. */
  readonly isCovered: boolean;
  /** Its hash cannot be computed, because the event before it is missing: it may be as it was. */
  readonly isAfterGap: boolean;
  /** When the event before it was written. Null if it is the first of its chain. */
  readonly since: number | null;
}

interface Evidence {
  readonly store: Pick<AuditStore, "find">;
  readonly keys?: KeyRing | undefined;
}

/** What became of suspects. Without the keys, one whose neighbour alone was changed turns out to be innocent. */
export async function nameOfDamage(
  suspects: readonly Suspect[],
  evidence: Evidence,
): Promise<readonly AuditProblem[]> {
  const hashes = [...new Map(suspects.map(({ row }) => [keyOf(row.hash), row.hash])).values(), NO_HASH];
  // A hash that made an event's own one is that of the event before it, wherever it stands now.
  const displaced = new Map<string, Uint8Array>();
  const guilty = suspects.filter(({ row, isGenuine }) => {
    if (isGenuine !== null || !isHashable(row) || numberOf(row.position) < 1) return true;
    const before = hashes.find((hash) => keyOf(hashOf(hash, row)) === keyOf(row.hash));
    if (before === undefined) return true;
    displaced.set(keyOf(before), positionOf(chainOf(row.position), numberOf(row.position) - 1));
    return false;
  });
  const problems: AuditProblem[] = [];
  for (const suspect of guilty) {
    const origin = displaced.get(keyOf(suspect.row.hash)) ?? originOf(suspect.row, guilty, hashes, evidence);
    const problem = await nameOf(suspect, origin, evidence);
    if (problem !== null) problems.push(problem);
  }
  return problems;
}

async function nameOf(
  suspect: Suspect,
  origin: Uint8Array | null,
  { store }: Evidence,
): Promise<AuditProblem | null> {
  const { row, isCovered, isGenuine, isAfterGap } = suspect;
  if (origin !== null && keyOf(origin) !== keyOf(row.position)) {
    const isSameChain = keyOf(chainOf(origin)) === keyOf(chainOf(row.position));
    const from = isSameChain ? `${numberOf(origin)}` : `${numberOf(origin)} of chain ${nameOfChain(origin)}`;
    return problemOf("moved", suspect, `stands in the place of another: it was written as ${from}`);
  }
  const original = await originalOf(row, store);
  if (original !== null) {
    const where = `${numberOf(original)} of chain ${nameOfChain(original)}`;
    return problemOf("copied", suspect, `is a copy of event ${where}`);
  }
  const isPlaced = numberOf(row.position) >= 1;
  if (isAfterGap && isGenuine === null && isHashable(row) && isPlaced) return null;
  if (isCovered) return problemOf("edited", suspect, "was edited");
  // Of the last events of a chain nobody has signed how many there are.
  return problemOf("forged", suspect, "was added or edited: no process with these keys wrote it");
}

/** The place among those that were changed where this event would be right. */
function originOf(
  row: AuditRow,
  guilty: readonly Suspect[],
  hashes: readonly Uint8Array[],
  { keys }: Evidence,
): Uint8Array | null {
  if (!isHashable(row)) return null;
  const key = keys?.find(keyIdOf(row.body) ?? -1);
  for (const { row: other, before } of guilty) {
    const moved = { ...row, position: other.position };
    const isRight = key
      ? keyOf(macOf(key, moved)) === keyOf(row.mac)
      : [...hashes, ...(before ? [before] : [])].some((one) => keyOf(hashOf(one, moved)) === keyOf(row.hash));
    if (isRight) return other.position;
  }
  return null;
}

/** Another event of that time with the same hash. */
async function originalOf(row: AuditRow, store: Pick<AuditStore, "find">): Promise<Uint8Array | null> {
  if (!Number.isSafeInteger(row.at) || row.at < 0) return null;
  const alike = await store.find({ since: row.at, until: row.at + 1, limit: 1_000 });
  const original = alike.find(
    (one) =>
      keyOf(one.hash) === keyOf(row.hash) &&
      keyOf(one.mac) === keyOf(row.mac) &&
      keyOf(one.position) !== keyOf(row.position),
  );
  return original?.position ?? null;
}

function nameOfChain(position: Uint8Array): string {
  return Buffer.from(chainOf(position)).toString("base64url");
}

function problemOf(kind: AuditProblem["kind"], { row, since }: Suspect, what: string): AuditProblem {
  const number = numberOf(row.position);
  const chain = nameOfChain(row.position);
  const message = `Event ${number} of chain ${chain} ${what}.`;
  return { kind, chain, from: number, to: number, message, at: since === null ? null : new Date(since) };
}
