import type { DeviceRefusal } from "../telemetry/device-refusals.ts";
import type { SessionRow } from "../store/row.ts";
import { clockSkew, loginOf, type Policy } from "./policy.ts";
import { purpose, type Purpose } from "./tags.ts";

/** What a challenge is bound to. */
export interface Subject {
  readonly of: Purpose;
  readonly subject: Uint8Array;
  /** The subjects of challenges that were used lately. */
  readonly used: readonly Uint8Array[];
}

const lifetime = 300_000;
/** Of this many earlier challenges a refusal says that they were used, and not that they are unknown. */
const remembered = 4;

/** A challenge to register a device: of one login, which is bound once. */
export function registrationSubject(row: SessionRow): Subject {
  return { of: purpose.registration, subject: loginOf(row), used: [] };
}

/** A challenge to prove a device again: of one binding, until its next proof. */
export function refreshSubject(bindingId: Uint8Array, proofs: number): Subject {
  const at = (count: number): Uint8Array => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(count));
    return Buffer.concat([bindingId, bytes]);
  };
  const used = Array.from({ length: Math.min(remembered, proofs) }, (_, back) => at(proofs - 1 - back));
  return { of: purpose.refresh, subject: at(proofs), used };
}

/** A challenge to prove a binding whose session was not found. It never counts as a proof: no binding has so many. */
export function missingSubject(bindingId: Uint8Array): Subject {
  return { of: purpose.refresh, subject: Buffer.concat([bindingId, Buffer.alloc(8, 0xff)]), used: [] };
}

/** Why a challenge is refused; null if it is ours, of this subject, unused and at most 5 minutes old. */
export function challengeRefusal(
  { tags, now }: Policy,
  challenge: string,
  { of, subject, used }: Subject,
): DeviceRefusal | null {
  const issued = tags.read(of, challenge, subject);
  if (issued === null) {
    const wasUsed = used.some((before) => tags.read(of, challenge, before) !== null);
    return wasUsed ? "device_challenge_used" : "device_challenge_invalid";
  }
  const age = now() - issued;
  return age > lifetime || age < -clockSkew ? "device_challenge_expired" : null;
}
